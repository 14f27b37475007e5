"""One object of the cluster with what has to be there before it, and all that such objects are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from corral.config.cluster import Gateway, Prometheus
from corral.config.registry import Registry
from corral.gateway.names import GatewayNames
from corral.hosts.endpoint import Endpoint
from corral.plan.callers import Rate
from corral.plan.failover import KeepAlive
from corral.plan.plan import Plan

Network = Literal["eks", "other"]
"""The place of the cluster: EKS, whose load balancers are known, or some other network."""

Manifest = dict[str, Any]
"""An object as the API server takes it; values that are known only later may be anywhere in its `spec`."""

GATEWAY_API = "gateway.networking.k8s.io"
ENVOY_GATEWAY = "gateway.envoyproxy.io"
AI_GATEWAY = "aigateway.envoyproxy.io"

_KINDS = {
    "v1": "ConfigMap Secret",
    "keda.sh/v1alpha1": "ScaledObject",
    "monitoring.coreos.com/v1": "PodMonitor",
    "external-secrets.io/v1": "ExternalSecret",
    "cert-manager.io/v1": "Certificate ClusterIssuer Issuer",
    f"{GATEWAY_API}/v1": "BackendTLSPolicy Gateway GatewayClass HTTPRoute",
    f"{GATEWAY_API}/v1beta1": "ReferenceGrant",
    f"{ENVOY_GATEWAY}/v1alpha1": "Backend BackendTrafficPolicy ClientTrafficPolicy EnvoyPatchPolicy EnvoyProxy"
    " SecurityPolicy",
    f"{AI_GATEWAY}/v1beta1": "AIGatewayRoute AIServiceBackend BackendSecurityPolicy GatewayConfig",
}
API_VERSIONS = {kind: version for version, kinds in _KINDS.items() for kind in kinds.split()}
"""API group and version of each kind."""


@dataclass(frozen=True)
class Resource:
    """One object.  `needs` names, by their keys, the others that it or its controller looks for."""

    manifest: Manifest
    needs: tuple[str, ...] = ()
    revision: str = ""
    """Tells apart those that can be there under one key at a time, an earlier and a later one."""

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return self.manifest["metadata"]["name"]


@dataclass(frozen=True)
class Inputs:
    """All that the manifests of one gateway are made of."""

    plan: Plan
    """Without errors."""
    endpoints: Sequence[Endpoint]
    """One for the host and the model of every target, drained ones included."""
    gateway: Gateway
    network: Network
    region: str | None
    """The region of AWS whose load balancers are in front of the gateway."""
    prometheus: Prometheus | None
    """The one that scrapes the cluster, beside KEDA."""
    registry: Registry | None
    key_counts: Mapping[str, int]
    """The number of API keys of each tenant that was given any; all others have one."""
    issuer_keys: Mapping[str, str]
    """The public keys (JWKS) of each issuer that has no URL for them."""
    labels: Mapping[str, str]
    """Labels of every object."""
    route_annotations: Mapping[str, str]
    """Annotations of every route, besides our own."""
    names: GatewayNames

    @cached_property
    def by_target(self) -> Mapping[tuple[str, str], Endpoint]:
        """The endpoints by host and model."""
        return {(endpoint.host, endpoint.model): endpoint for endpoint in self.endpoints}

    @cached_property
    def has_limits(self) -> bool:
        """Whether any tenant has limits that are counted by the minute."""
        return any(rate != Rate() for rate in self.plan.rates)

    @cached_property
    def counts_tokens(self) -> bool:
        """Whether any of them is one of tokens."""
        return any(rate.tokens for rate in self.plan.rates)

    def resource(
        self,
        kind: str,
        name: str,
        spec: Mapping[str, Any],
        *,
        needs: Iterable[str] = (),
        annotations: Mapping[str, str] | None = None,
        namespace: str | None = None,
        revision: str = "",
    ) -> Resource:
        """An object in a namespace, the gateway's unless told otherwise; a GatewayClass is of the whole cluster."""
        metadata = {
            "name": name,
            **({} if kind == "GatewayClass" else {"namespace": namespace or self.names.namespace}),
            "labels": dict(self.labels),
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        manifest = {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata, "spec": dict(spec)}
        return Resource(manifest, tuple(needs), revision)


def reference(kind: str, name: str) -> dict[str, str]:
    """Names an object from another one of its namespace."""
    return {"group": API_VERSIONS[kind].rpartition("/")[0], "kind": kind, "name": name}


def keep_alive(times: KeepAlive) -> dict[str, Any]:
    """Probes, as Envoy Gateway's policies have them."""
    return {"probes": times.probes, "idleTime": f"{times.idle_seconds}s", "interval": f"{times.interval_seconds}s"}
