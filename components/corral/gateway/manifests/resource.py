"""One object of the cluster, and what has to be there before it.

How one model at one host is reached from the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from corral.catalog.catalog import Protocol
from corral.gateway.names import NAMESPACE

GATEWAY_API = "gateway.networking.k8s.io"
ENVOY_GATEWAY = "gateway.envoyproxy.io"
AI_GATEWAY = "aigateway.envoyproxy.io"

Manifest = dict[str, Any]
"""An object as the API server takes it; values that are known only later may be anywhere in its `spec`."""


@dataclass(frozen=True)
class Resource:
    """One object.  `needs` names, by their keys, the others that it or its controller looks for."""

    manifest: Manifest
    needs: tuple[str, ...] = ()
    edition: str = ""
    """Tells apart those that can be there under one key at a time, an earlier and a later one."""


def manifest(
    api: str,
    kind: str,
    name: str,
    spec: Mapping[str, Any],
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """An object of `kind` in the gateway's namespace; a GatewayClass is of the whole cluster.

    `api` is its group and version.
    """
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {
            "name": name,
            **({} if kind == "GatewayClass" else {"namespace": NAMESPACE}),
            "labels": dict(labels),
            **({"annotations": dict(annotations)} if annotations else {}),
        },
        "spec": dict(spec),
    }


def target(group: str, kind: str, name: str) -> dict[str, str]:
    """How one object names another one of its namespace."""
    return {"group": group, "kind": kind, "name": name}


@dataclass(frozen=True)
class Link:
    """What the resources of one model at one host are made of.  The key itself is in a secret."""

    hostname: Any
    """A DNS name.  May be known only once the host is there: it is passed on, never looked at; likewise `model_id`."""
    port: int
    tls: bool
    protocol: Protocol
    path: str
    """The path prefix in front of `/chat/completions`."""
    model_id: Any
    header: Literal["authorization", "api-key"] | None
    """The header that takes the host's key; None: there is none."""
    signing_region: str | None
    """The AWS region for which the gateway's own identity signs; None: it does not."""
    own_authority: bool
    """Whether the host's certificate is by an authority of its own, instead of one that every system trusts."""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Top-level fields that are set in every request's body, each value as JSON text; passed on like `hostname`."""

    @property
    def has_credential(self) -> bool:
        return self.header is not None or self.signing_region is not None
