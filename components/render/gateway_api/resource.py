"""One object of the cluster, and what has to be there before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.render.gateway_api.names import NAMESPACE

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
