"""Keys in a store of secrets: what the External Secrets Operator is told, so that Pulumi has none of them.

It makes a Secret of each, and keeps that as it is in the store.  Where the stack installs it, the store is AWS Secrets
Manager, which names no credentials: those of the operator's pod are found by AWS's SDK (EKS Pod Identity).
Source: external-secrets 2.9.0, config/crds/bases and docs/provider/aws-access.md ("EKS Pod Identity Setup").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corral.hosts.endpoint import StoredKey

READY_SECONDS = 180
"""For the operator to get a key."""

_API = "external-secrets.io/v1"


def stored_spec(entry: str, key: StoredKey) -> dict[str, Any]:
    """The spec of an ExternalSecret whose Secret has the key as this entry."""
    field = {} if key.property is None else {"property": key.property}
    return {
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": key.store},
        "refreshInterval": f"{key.refresh_seconds}s",
        "data": [{"secretKey": entry, "remoteRef": {"key": key.key, **field}}],
    }


def external_secret(name: str, namespace: str, labels: Mapping[str, str], entry: str, key: StoredKey) -> dict[str, Any]:
    """An ExternalSecret, and its Secret, of this name, which Pulumi waits for."""
    waited_for = {"pulumi.com/waitFor": "condition=Ready", "pulumi.com/timeoutSeconds": str(READY_SECONDS)}
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels), "annotations": waited_for}
    return {"apiVersion": _API, "kind": "ExternalSecret", "metadata": metadata, "spec": stored_spec(entry, key)}


def secrets_manager(name: str, region: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The ClusterSecretStore for AWS Secrets Manager, for namespaces with these labels alone.  Not waited for: what is
    in it is."""
    spec = {
        "provider": {"aws": {"service": "SecretsManager", "region": region}},
        "conditions": [{"namespaceSelector": {"matchLabels": dict(labels)}}],
    }
    return {
        "apiVersion": _API,
        "kind": "ClusterSecretStore",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": spec,
    }
