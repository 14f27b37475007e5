"""The charts that the load balancer is made of, pinned, in the only place where their versions stand.

Envoy AI Gateway 1.1 goes with Envoy Gateway 1.8, Gateway API 1.5 and Kubernetes 1.32 or newer (says its own table).
Upgrade Envoy Gateway and its definitions first, and Envoy AI Gateway one minor version at a time.  Before Envoy Gateway
1.8.2 limits of tokens that routes share counted requests (its issue 9244), and Kubernetes 1.36 took no limits (9186).

The software of the load balancer: Envoy Gateway, Envoy AI Gateway, cert-manager for what is between them, and what
counts where tenants have limits.

Definitions are applied by a `Chart`, which renders here and upgrades them with their release: Helm never upgrades what
stands in a chart's `crds`, and cannot store a release as large as these.  All else are Helm `Release`s, as their charts
have hooks and look up what is there, both of which a `Chart` drops.

The webhook that puts the processor beside each Envoy refuses pods while its certificate is wrong.  The chart's own one
is good for a year and nobody renews it, so cert-manager makes it.

Envoy Gateway is told where limits are counted whether there are any or not.  A policy with limits that it meets without
having been told makes it answer every request with 500, and Pulumi updates the software before it deletes the policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from corral.gateway.manifests.front import KEPT_OF_REQUESTS
from corral.gateway.names import ENVOY_NAMESPACE
from corral.gateway.redis import ADDRESS, Redis, RedisArgs


@dataclass(frozen=True)
class Chart:
    """A chart in an OCI registry."""

    url: str
    version: str


CERT_MANAGER = Chart("oci://quay.io/jetstack/charts/cert-manager", "v1.21.2")
GATEWAY_DEFINITIONS = Chart("oci://docker.io/envoyproxy/gateway-crds-helm", "v1.8.3")
ENVOY_GATEWAY = Chart("oci://docker.io/envoyproxy/gateway-helm", "v1.8.3")
AI_GATEWAY_DEFINITIONS = Chart("oci://docker.io/envoyproxy/ai-gateway-crds-helm", "v1.1.0")
AI_GATEWAY = Chart("oci://docker.io/envoyproxy/ai-gateway-helm", "v1.1.0")


_AI_NAMESPACE = "envoy-ai-gateway-system"
_CERT_NAMESPACE = "cert-manager"

_LARGEST_MESSAGE = 64 * 2**20
"""Bytes of configuration that go from one controller to the other at once; 4 MiB unless told otherwise."""

_PATIENCE = 600
"""Seconds that a release may take, images included."""

_EVERYTHING = {"includeAll": True}

_COUNTERS = 2
"""Pods that count what tenants use, where they have limits."""


def _envoy_gateway(*, counting: bool) -> dict[str, Any]:
    """What Envoy AI Gateway 1.1 needs of it (its manifests/envoy-gateway-values.yaml), and who counts.

    Patches of Envoy's configuration, which that recommends too, hand a model's traffic over from a route to the next;
    who may write a Backend or a patch in the gateway's namespace decides where requests go.  The definitions' chart has
    the upgrade policy already.  An Envoy that waits longer than its timeout for those who count lets the request pass.
    """
    return {
        "deployment": {"replicas": 2},
        "podDisruptionBudget": {"minAvailable": 1},
        "crds": {"gatewayAPI": {"safeUpgradePolicy": {"enabled": False}}},
        "config": {
            "envoyGateway": {
                "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
                "provider": {"type": "Kubernetes", "kubernetes": _counters(counting=counting)},
                "rateLimit": {"backend": {"type": "Redis", "redis": {"url": ADDRESS}}, "timeout": "200ms"},
                "extensionApis": {"enableBackend": True, "enableEnvoyPatchPolicy": True},
                "extensionManager": {
                    "maxMessageSize": f"{_LARGEST_MESSAGE // 2**20}Mi",
                    "hooks": {
                        "xdsTranslator": {
                            "translation": dict.fromkeys(("listener", "route", "cluster", "secret"), _EVERYTHING),
                            "post": ["Translation", "Cluster", "Route"],
                        }
                    },
                    "service": {
                        "fqdn": {"hostname": f"ai-gateway-controller.{_AI_NAMESPACE}.svc.cluster.local", "port": 1063}
                    },
                },
            }
        },
    }


def _counters(*, counting: bool) -> dict[str, Any]:
    if not counting:
        return {"rateLimitDeployment": {"replicas": 0}}
    return {"rateLimitDeployment": {"replicas": _COUNTERS}, "rateLimitPDB": {"maxUnavailable": 1}}


_AI_GATEWAY: dict[str, Any] = {
    "controller": {
        "replicaCount": 2,
        "podDisruptionBudget": {"enabled": True, "minAvailable": 1},
        "maxRecvMsgSize": str(_LARGEST_MESSAGE),
        "mutatingWebhook": {"certManager": {"enable": True}},
        "logRequestHeaderAttributes": KEPT_OF_REQUESTS,
    }
}


@dataclass(frozen=True)
class SoftwareArgs:
    """What the software is told."""

    provider: kubernetes.Provider
    cert_manager: bool
    """Whether to install cert-manager."""
    counting: bool
    """Whether tenants have limits that are counted by the minute."""
    labels: Mapping[str, str]
    depends_on: Sequence[pulumi.Resource]
    """What is there before any of it."""


class Software(pulumi.ComponentResource):
    """Everything that is installed once for the load balancer, in namespaces of its own.

    Leaves to others: what it is told to do.  `ready` is what everything it is told depends on: the controllers run
    before, and are removed after, as the finalizers of what they are told are theirs to take away.
    """

    ready: pulumi.Resource

    def __init__(self, name: str, args: SoftwareArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Software", name, None, opts)
        self._provider, self._depends_on = args.provider, args.depends_on
        envoy_namespace = self._namespace(f"{name}-envoy-namespace", ENVOY_NAMESPACE)
        ai_namespace = self._namespace(f"{name}-ai-namespace", _AI_NAMESPACE)
        definitions = kubernetes.helm.v4.Chart(
            f"{name}-gateway-definitions",
            chart=GATEWAY_DEFINITIONS.url,
            version=GATEWAY_DEFINITIONS.version,
            values={
                "crds": {"gatewayAPI": {"enabled": True, "channel": "standard"}, "envoyGateway": {"enabled": True}}
            },
            opts=self._child(),
        )
        ai_definitions = self._release(
            f"{name}-ai-definitions", AI_GATEWAY_DEFINITIONS, _AI_NAMESPACE, {}, ai_namespace
        )
        before: list[pulumi.Resource] = [envoy_namespace, definitions]
        if args.counting:
            counted = RedisArgs(args.provider, args.labels, [*args.depends_on, envoy_namespace])
            before.append(Redis(f"{name}-redis", counted, pulumi.ResourceOptions(parent=self)).ready)
        envoy_gateway = self._release(
            f"{name}-envoy-gateway",
            ENVOY_GATEWAY,
            ENVOY_NAMESPACE,
            _envoy_gateway(counting=args.counting),
            *before,
        )
        first: list[pulumi.Resource] = [ai_namespace, ai_definitions, envoy_gateway]
        if args.cert_manager:
            first.append(self._cert_manager(name))
        self.ready = self._release(f"{name}-ai-gateway", AI_GATEWAY, _AI_NAMESPACE, _AI_GATEWAY, *first)
        self.register_outputs({})

    def _child(self, *first: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, provider=self._provider, depends_on=[*self._depends_on, *first])

    def _namespace(self, name: str, physical: str) -> kubernetes.core.v1.Namespace:
        return kubernetes.core.v1.Namespace(name, metadata={"name": physical}, opts=self._child())

    def _cert_manager(self, name: str) -> pulumi.Resource:
        namespace = self._namespace(f"{name}-cert-namespace", _CERT_NAMESPACE)
        values = {"crds": {"enabled": True, "keep": False}}
        return self._release(f"{name}-cert-manager", CERT_MANAGER, _CERT_NAMESPACE, values, namespace)

    def _release(
        self, name: str, chart: Chart, namespace: str, values: dict[str, Any], *first: pulumi.Resource
    ) -> kubernetes.helm.v3.Release:
        """Named as its chart, so that a name inside it is the same on every cluster; rolled back where it fails."""
        return kubernetes.helm.v3.Release(
            name,
            name=chart.url.rpartition("/")[2],
            namespace=namespace,
            chart=chart.url,
            version=chart.version,
            values=values,
            skip_crds=True,
            atomic=True,
            timeout=_PATIENCE,
            opts=self._child(*first),
        )
