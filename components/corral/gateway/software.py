"""The software of the load balancer: Envoy Gateway, Envoy AI Gateway, cert-manager for what is between them, and a
Redis where tenants have limits.

Definitions are applied by a `Chart`, which renders here and upgrades them with their release: Helm never upgrades what
stands in a chart's `crds`, and cannot store a release as large as these.  All else are Helm `Release`s, as their charts
have hooks and look up what is there, both of which a `Chart` drops.  Pulumi keeps each definition three times in its
state, and copies the state at each update: without the prose in their schemas, which nothing but `kubectl explain`
reads, they are a third as large.

The webhook that puts the processor beside each Envoy refuses pods while its certificate is wrong.  The chart's own one
is good for a year and nobody renews it, so cert-manager makes it.

Envoy Gateway is configured for where limits are counted whether there are any or not.  A policy with limits that it
meets without makes it answer every request with 500, and Pulumi updates the software before it deletes the policy.
While Redis cannot be reached, requests pass uncounted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as kubernetes

from corral.config.cluster import Prometheus, Versions
from corral.gateway import archives, redis
from corral.gateway.charts import (
    CERT_MANAGER_REPOSITORIES,
    CONTROLLER_REPOSITORY,
    PROCESSOR_REPOSITORY,
    Chart,
    Charts,
    envoy_gateway_image,
)
from corral.gateway.manifests.front import KEPT_HEADERS
from corral.gateway.manifests.isolation import RESTRICTED, policies
from corral.gateway.manifests.resource import Network
from corral.gateway.names import AI_NAMESPACE, CERT_NAMESPACE, ENVOY_NAMESPACE
from corral.hosts.base import KubernetesObject
from corral.hosts.images import Images

_READINESS_GATE = {"eks.amazonaws.com/pod-readiness-gate-inject": "enabled"}
"""The label of a namespace by which EKS Auto Mode takes a pod for ready only once its load balancer does: until then an
Envoy is not counted, neither by a rollout nor by the disruption budget."""

_MAX_MESSAGE = 64 * 2**20
"""Bytes of configuration that go from one controller to the other at once; 4 MiB by default."""

_RELEASE_TIMEOUT_SECONDS = 600
"""For a release, images included."""

_RATE_LIMITERS = 2
"""Pods that count what tenants use, where they have limits."""

_VALUES = ("default", "enum", "example")
"""The keys of a schema below which values stand, and no schemas."""


def _spread(chart: Chart) -> list[dict[str, Any]]:
    """The controllers of a chart on different nodes, and in different zones where there are such: while none answers,
    no Envoy starts."""
    selector = {"matchLabels": {"app.kubernetes.io/instance": chart.name}}
    spread = {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}
    return [{**spread, "topologyKey": key} for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")]


def _envoy_gateway(images: Images, versions: Versions, *, counting: bool) -> dict[str, Any]:
    """Values that Envoy AI Gateway 1.1 needs of it (its manifests/envoy-gateway-values.yaml), and who counts.

    Patches of Envoy's configuration, which that recommends too, cut a model's traffic over from a route to the next;
    who may write a Backend or a patch in the gateway's namespace decides where requests go.  The definitions' chart has
    the upgrade policy already.  No Envoy is told its zone: no host is reached by zone, and the webhook for it would
    outlive the chart, as Helm deletes no hooks.  An Envoy that waits longer than its timeout for those who count lets
    the request pass.
    """
    rate_limiters: dict[str, Any] = {"rateLimitDeployment": {"replicas": _RATE_LIMITERS if counting else 0}}
    if counting:
        rate_limiters["rateLimitPDB"] = {"maxUnavailable": 1}
        rate_limiters["rateLimitDeployment"]["container"] = {"env": [redis.password("REDIS_AUTH")]}
    ai_gateway = {"hostname": f"ai-gateway-controller.{AI_NAMESPACE}.svc.cluster.local", "port": 1063}
    translation = {key: {"includeAll": True} for key in ("listener", "route", "cluster", "secret")}
    of_gateway = {"envoyGateway": envoy_gateway_image(versions), "ratelimit": versions.rate_limiter}
    mirrored = of_gateway if images.registry else {}
    from_mirror = {
        "images": {part: {"image": images.named(image)} for part, image in mirrored.items()},
        "imagePullSecrets": images.pull_secrets,
    }
    return {
        **({"global": from_mirror} if images.registry else {}),
        "deployment": {"replicas": 2, "pod": {"topologySpreadConstraints": _spread(Charts.of(versions).envoy_gateway)}},
        "podDisruptionBudget": {"minAvailable": 1},
        "crds": {"gatewayAPI": {"safeUpgradePolicy": {"enabled": False}}},
        "topologyInjector": {"enabled": False},
        "config": {
            "envoyGateway": {
                "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
                "provider": {"type": "Kubernetes", "kubernetes": rate_limiters},
                "rateLimit": {"backend": {"type": "Redis", "redis": {"url": redis.ADDRESS}}, "timeout": "200ms"},
                "extensionApis": {"enableBackend": True, "enableEnvoyPatchPolicy": True},
                "extensionManager": {
                    "maxMessageSize": f"{_MAX_MESSAGE // 2**20}Mi",
                    "hooks": {
                        "xdsTranslator": {"translation": translation, "post": ["Translation", "Cluster", "Route"]}
                    },
                    "service": {"fqdn": ai_gateway},
                },
            }
        },
    }


def _ai_gateway(images: Images, chart: Chart) -> dict[str, Any]:
    """The secrets of Envoy's pods, to which the processor belongs, are the EnvoyProxy's."""
    controller: dict[str, Any] = {
        "replicaCount": 2,
        "topologySpreadConstraints": _spread(chart),
        "podDisruptionBudget": {"enabled": True, "minAvailable": 1},
        "maxRecvMsgSize": str(_MAX_MESSAGE),
        "mutatingWebhook": {"certManager": {"enable": True}},
        "logRequestHeaderAttributes": KEPT_HEADERS,
    }
    if images.registry is None:
        return {"controller": controller}
    controller |= {
        "image": {"repository": images.named(CONTROLLER_REPOSITORY)},
        "imagePullSecrets": images.pull_secrets,
    }
    return {"controller": controller, "extProc": {"image": {"repository": images.named(PROCESSOR_REPOSITORY)}}}


def _cert_manager(images: Images) -> dict[str, Any]:
    """Its leases are in its own namespace, and go with it: in kube-system they stay, and the next one waits."""
    shared: dict[str, Any] = {"leaderElection": {"namespace": CERT_NAMESPACE}}
    values: dict[str, Any] = {"crds": {"enabled": True, "keep": False}, "global": shared}
    if images.registry:
        registry, _, namespace = images.named(CERT_MANAGER_REPOSITORIES).rpartition("/")
        values |= {"imageRegistry": registry, "imageNamespace": namespace}
        shared["imagePullSecrets"] = images.pull_secrets
    return values


@dataclass(frozen=True)
class InstallationArgs:
    """The cluster, for any software."""

    provider: kubernetes.Provider
    images: Images
    prometheus: Prometheus | None
    """The one that may read metrics of it."""
    labels: Mapping[str, str]
    depends_on: Sequence[pulumi.Resource]
    """Resources that are there before any of it."""
    grace_seconds: int
    """How long a pod of it that is to go may take."""


@dataclass(frozen=True)
class SoftwareArgs(InstallationArgs):
    """Which parts are installed."""

    network: Network
    versions: Versions
    cert_manager: bool
    """Whether to install cert-manager."""
    counting: bool
    """Whether tenants have limits that are counted by the minute."""


class Installation(pulumi.ComponentResource):
    """Software in namespaces of its own."""

    def __init__(self, type_: str, name: str, args: InstallationArgs, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(type_, name, None, opts)
        self._name, self._args = name, args

    def _child(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        before = [*self._args.depends_on, *depends_on]
        return pulumi.ResourceOptions(parent=self, provider=self._args.provider, depends_on=before)

    def _namespace(
        self, part: str, namespace: str, labels: Mapping[str, str] | None = None
    ) -> Sequence[pulumi.Resource]:
        """The namespace, the secret by which its pods pull images, and who may come to them."""
        metadata: Any = {"name": namespace, "labels": {**RESTRICTED, **(labels or {})}}
        delete_seconds = self._args.grace_seconds + _RELEASE_TIMEOUT_SECONDS  # its last pods have their time
        options = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete=f"{delete_seconds}s"))
        resource = kubernetes.core.v1.Namespace(
            f"{self._name}-{part}-namespace",
            metadata=metadata,
            opts=pulumi.ResourceOptions.merge(self._child(), options),
        )
        name = f"{self._name}-{part}-pull-secret"
        there = [resource, *self._args.images.secret(name, namespace, self._args.labels, self._child(resource))]
        for policy in policies(namespace, self._args.prometheus, self._args.labels):
            title = f"{self._name}-{part}-policy/{policy['metadata']['name']}"
            there.append(KubernetesObject(title, policy, self._child(*there)))
        return there

    def _release(
        self,
        part: str,
        chart: Chart,
        namespace: str,
        values: dict[str, Any],
        *depends_on: pulumi.Resource,
        skip_crds: bool = True,
    ) -> kubernetes.helm.v3.Release:
        """Named as its chart, so that a name inside it is the same on every cluster; rolled back where it fails."""
        return kubernetes.helm.v3.Release(
            f"{self._name}-{part}",
            name=chart.name,
            namespace=namespace,
            chart=archives.path(chart),
            version=chart.version,
            values=values,
            skip_crds=skip_crds,
            atomic=True,
            timeout=_RELEASE_TIMEOUT_SECONDS,
            opts=self._child(*depends_on),
        )


class Software(Installation):
    """Everything that is installed once for the load balancer, in namespaces of its own.

    Leaves to others: its objects.  They depend on `ready`: the controllers run before, and are removed after, as the
    finalizers of the objects are theirs to take away.
    """

    ready: pulumi.Resource

    def __init__(self, name: str, args: SoftwareArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Software", name, args, opts)
        charts = Charts.of(args.versions)
        envoy_namespace = self._namespace("envoy", ENVOY_NAMESPACE, _READINESS_GATE if args.network == "eks" else None)
        ai_namespace = self._namespace("ai", AI_NAMESPACE)
        definitions = kubernetes.helm.v4.Chart(
            f"{name}-gateway-definitions",
            chart=archives.path(charts.definitions),
            version=charts.definitions.version,
            values={
                "crds": {"gatewayAPI": {"enabled": True, "channel": "standard"}, "envoyGateway": {"enabled": True}}
            },
            opts=pulumi.ResourceOptions.merge(
                self._child(), pulumi.ResourceOptions(transforms=[definition_without_prose])
            ),
        )
        ai_definitions = self._release("ai-definitions", charts.ai_definitions, AI_NAMESPACE, {}, *ai_namespace)
        before: list[pulumi.Resource] = [*envoy_namespace, definitions]
        if args.counting:
            after_namespace = redis.RedisArgs(
                args.provider, args.images, args.labels, [*args.depends_on, *envoy_namespace]
            )
            before.append(redis.Redis(f"{name}-redis", after_namespace, pulumi.ResourceOptions(parent=self)).ready)
        values = _envoy_gateway(args.images, args.versions, counting=args.counting)
        envoy_gateway = self._release("envoy-gateway", charts.envoy_gateway, ENVOY_NAMESPACE, values, *before)
        before = [*ai_namespace, ai_definitions, envoy_gateway]
        if args.cert_manager:
            namespace = self._namespace("cert", CERT_NAMESPACE)
            values = _cert_manager(args.images)
            before.append(self._release("cert-manager", charts.cert_manager, CERT_NAMESPACE, values, *namespace))
        values = _ai_gateway(args.images, charts.ai_gateway)
        self.ready = self._release("ai-gateway", charts.ai_gateway, AI_NAMESPACE, values, *before)
        self.register_outputs({})


def definition_without_prose(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """A custom resource definition without the descriptions in its schemas; whatever else there is stays as it is."""
    if not args.type_.endswith(":CustomResourceDefinition"):
        return None
    spec: Any = args.props["spec"]
    return pulumi.ResourceTransformResult({**args.props, "spec": _without_descriptions(spec)}, args.opts)


def _without_descriptions(part: Any, *, fields: bool = False) -> Any:
    """`fields`: the keys are names of fields, of which one may be `description`, and not a schema's own."""
    match part:
        case dict():
            entries = cast("dict[str, Any]", part).items()
            if fields:
                return {name: _without_descriptions(schema) for name, schema in entries}
            return {
                key: below if key in _VALUES else _without_descriptions(below, fields=key == "properties")
                for key, below in entries
                if key != "description"
            }
        case list():
            return [_without_descriptions(below) for below in cast("list[Any]", part)]
        case _:
            return part
