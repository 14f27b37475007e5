"""The front of every route: the Gateway, how large it gets, how it is reached, who may call it, and its log.

The access log is one JSON object a line for each request, on the standard output of each Envoy.  No text of a prompt or
an answer, and no key, is in it.  Its names are those of the local engine's log.  Who calls is in a header until the
request goes to a host, which has no business with it; for then Envoy AI Gateway keeps it beside what it knows itself
(`KEPT_HEADERS`).  So there are two formats, of which each request matches one.  Tokens are what the host counts.  Envoy
AI Gateway asks for that of streams too once it is to count (as `include_usage` of `stream_options`), and says 0 where a
host does not answer it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corral.catalog.patterns import ranges
from corral.config.cluster import Gateway, LoadBalancerCertificate
from corral.gateway import names
from corral.gateway.manifests.certificates import certificate_resources, listeners
from corral.gateway.manifests.resource import AI_GATEWAY, ENVOY_GATEWAY, Inputs, Resource, keep_alive, reference
from corral.gateway.manifests.tenants import TOKEN_COSTS, Caller, access, limits
from corral.hosts.autoscaling import scaled, trigger
from corral.plan import failover
from corral.plan.plan import RequestSettings
from corral.plan.trace import PLAN_HEADER

TENANTS = "tenants"
"""The key of the secret that has the tenants' API keys."""

_NLB_CLASS = "eks.amazonaws.com/nlb"
"""The load balancers of EKS Auto Mode."""

_NLB_DELAY_MILLISECONDS = 150_000
"""The time for which a load balancer of AWS may go on giving new connections to an Envoy that has been taken from it:
some two minutes (kubernetes-sigs/aws-load-balancer-controller issue 2366, aws/containers-roadmap issue 470)."""

_SERVICE_DELAY_MILLISECONDS = 10_000
"""The same for the Service of a cluster."""

_MAX_DEREGISTRATION_SECONDS = 3_600
"""The longest time that a load balancer of AWS lets a target finish."""

_CPU_MILLIS = 500
_ENVOY = {"cpu": f"{_CPU_MILLIS}m", "memory": "1Gi"}
_PROCESSOR = {"cpu": f"{_CPU_MILLIS}m", "memory": "512Mi"}
"""Resources that an Envoy, and the processor beside it, are sure to get.  Scaling by CPU needs both to be said."""

VCPUS_OF_ENVOY = 2 * _CPU_MILLIS // 1000
"""Of an Envoy and its processor together."""

_CPU_PERCENT = 60
_REQUESTS_PER_ENVOY = 300
"""Requests under way for each of which there is to be an Envoy: it fails beyond some 500 (its processor has two streams
for each, and Envoy breaks at 1,024: envoyproxy/ai-gateway pull request 1884), and a new one takes a minute or two."""

_TENANT = "tenant"

KEPT_HEADERS = f"{names.TENANT_HEADER}:{_TENANT}"
"""Header and name, as Envoy AI Gateway's controller is told what of a request to keep for the log."""

LOGGED_TOKENS = [
    {"metadataKey": "input_tokens", "type": "InputToken"},
    {"metadataKey": "cached_tokens", "type": "CachedInputToken"},
    {"metadataKey": "output_tokens", "type": "OutputToken"},
    {"metadataKey": "reasoning_tokens", "type": "ReasoningToken"},
]
"""Tokens that Envoy AI Gateway is to count for the log."""


def _kept(key: str) -> str:
    return f"%DYNAMIC_METADATA({names.METADATA}:{key})%"


_LOG_FIELDS = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "id": "%REQ(x-request-id)%",
    "model": f"%REQ({names.MODEL_HEADER})%",
    "host": f"%REQ({names.HOST_HEADER})%",
    "plan": f"%REQ({PLAN_HEADER})%",
    "host_model": _kept("model_name_override"),
    "method": "%REQ(:method)%",
    "path": "%REQ_WITHOUT_QUERY(x-ai-eg-original-path?:path)%",
    "status": "%RESPONSE_CODE%",
    **{cost["metadataKey"]: _kept(cost["metadataKey"]) for cost in LOGGED_TOKENS},
    "first_byte_ms": "%RESPONSE_DURATION%",
    "duration_ms": "%DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "flags": "%RESPONSE_FLAGS%",
}


_SIDECAR_SECONDS = 300
"""The time that Envoy Gateway 1.8.3 gives a pod beyond the drain (`expectedTerminationGracePeriodSeconds`)."""


def grace_seconds(drain_milliseconds: int) -> int:
    """How long an Envoy that is to go may take."""
    return max(drain_milliseconds, _NLB_DELAY_MILLISECONDS) // 1000 + _SIDECAR_SECONDS


def front_resources(inputs: Inputs, callers: Mapping[str, Caller]) -> dict[str, Resource]:
    """The resources by key, in the order in which they are made."""
    plan, gateway = inputs.plan, inputs.gateway
    to_gateway = {"targetRefs": [reference("Gateway", inputs.names.gateway)]}

    def resource(kind: str, spec: dict[str, Any], *needs: str, **annotations: str) -> Resource:
        return inputs.resource(kind, inputs.names.gateway, spec, needs=needs, annotations=annotations)

    costs = [*(LOGGED_TOKENS if gateway.count_tokens else ()), *(TOKEN_COSTS if inputs.counts_tokens else ())]
    processor = {
        "extProc": {"kubernetes": {"resources": {"requests": _PROCESSOR}}},
        **({"globalLLMRequestCosts": costs} if costs else {}),
    }
    resources = {
        "class": resource("GatewayClass", {"controllerName": f"{ENVOY_GATEWAY}/gatewayclass-controller"}),
        "proxy": resource("EnvoyProxy", _proxy(inputs)),
        "processor": resource("GatewayConfig", processor),
    }
    resources |= certificate_resources(inputs)
    spec = {
        "gatewayClassName": inputs.names.gateway,
        "infrastructure": {"parametersRef": reference("EnvoyProxy", inputs.names.gateway)},
        "listeners": [{**each, "allowedRoutes": {"namespaces": {"from": "Same"}}} for each in listeners(inputs)],
    }
    resources["gateway"] = resource(
        "Gateway", spec, *resources, **{f"{AI_GATEWAY}/gateway-config": inputs.names.gateway}
    )
    resources["clients"] = resource("ClientTrafficPolicy", {**to_gateway, **_clients(plan.request_settings)}, "gateway")
    if inputs.has_limits:
        resources["limits"] = resource("BackendTrafficPolicy", {**to_gateway, **limits(plan, callers)}, "gateway")
    keys = () if plan.issuers else (TENANTS,)
    resources["access"] = resource("SecurityPolicy", {**to_gateway, **access(inputs, callers)}, "gateway", *keys)
    return resources


def _proxy(inputs: Inputs) -> dict[str, Any]:
    replicas = inputs.gateway.replicas
    delay = _NLB_DELAY_MILLISECONDS if inputs.network == "eks" else _SERVICE_DELAY_MILLISECONDS
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": _CPU_PERCENT}}
    by_cpu = {
        "envoyHpa": {
            "minReplicas": replicas.min,
            "maxReplicas": replicas.max,
            "metrics": [{"type": "Resource", "resource": cpu}],
        }
    }
    spread = {
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _envoys(inputs)},
    }
    topologies = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    image, pull_secrets = {}, {}
    if registry := inputs.registry:  # or else Envoy Gateway takes the Envoy that goes with it
        image = {"image": registry.mirrored(inputs.gateway.versions.envoy)}
        pull_secrets = {"imagePullSecrets": [{"name": registry.pull_secret}]} if registry.pull_secret else {}
    pod = {"topologySpreadConstraints": [{**spread, "topologyKey": key} for key in topologies], **pull_secrets}
    return {
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {
                "envoyServiceAccount": {"name": inputs.names.service_account},
                "envoyDeployment": {
                    "name": inputs.names.deployment,
                    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                    "pod": pod,
                    "container": {"resources": {"requests": _ENVOY}, **image},
                },
                **({} if inputs.prometheus else by_cpu),
                "envoyPDB": {"maxUnavailable": 1},
                "envoyService": _service(inputs),
            },
        },
        "shutdown": {
            "drainTimeout": names.duration(max(inputs.plan.request_settings.drain_timeout, delay)),
            "minDrainDuration": names.duration(delay),
        },
        "telemetry": {"accessLog": access_log()},
    }


def _envoys(inputs: Inputs) -> dict[str, str]:
    """The labels of their pods."""
    return {f"{ENVOY_GATEWAY}/owning-gateway-name": inputs.names.gateway}


def scaling_resources(inputs: Inputs) -> dict[str, Resource]:
    """By key what counts the requests of the Envoys and scales these by it; nothing without a Prometheus.

    An Envoy fails when too many requests are under way, and one that waits for a host costs no CPU.  KEDA's own check
    for another autoscaler is left out: Envoy Gateway takes its away a moment after it is told to.
    """
    if inputs.prometheus is None:
        return {}

    def resource(kind: str, spec: dict[str, Any], **annotations: str) -> Resource:
        needs, namespace = ("gateway",), names.ENVOY_NAMESPACE
        return inputs.resource(
            kind, inputs.names.gateway, spec, needs=needs, annotations=annotations, namespace=namespace
        )

    replicas = inputs.gateway.replicas
    of_gateway = f'namespace="{names.ENVOY_NAMESPACE}",envoy_http_conn_manager_prefix=~"https?-.*"'
    under_way = f"sum(envoy_http_downstream_rq_active{{{of_gateway}}})"
    by_cpu = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(_CPU_PERCENT)}}
    triggers = [trigger(inputs.prometheus, under_way, _REQUESTS_PER_ENVOY), by_cpu]
    spec = scaled(inputs.names.deployment, replicas.min, replicas.max, triggers)
    resources = {"scaling": resource("ScaledObject", spec, **{"validations.keda.sh/hpa-ownership": "false"})}
    if inputs.prometheus.scrape == "serviceMonitor":
        endpoints = [
            {"port": "metrics", "path": "/stats/prometheus", "interval": "15s"},
            {"port": "aigw-admin", "path": "/metrics", "interval": "15s"},
        ]
        monitor = resource(
            "PodMonitor", {"selector": {"matchLabels": _envoys(inputs)}, "podMetricsEndpoints": endpoints}
        )
        monitor.manifest["metadata"]["labels"] |= inputs.prometheus.monitor_labels
        resources["monitor"] = monitor
    return resources


def access_log() -> dict[str, Any]:
    """For the telemetry of an EnvoyProxy."""
    named = f"'{names.TENANT_HEADER}' in request.headers"
    return {
        "settings": [
            {
                "matches": [matches],
                "format": {"type": "JSON", "json": {**_LOG_FIELDS, "tenant": tenant}},
                "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}],
            }
            for matches, tenant in ((named, f"%REQ({names.TENANT_HEADER})%"), (f"!({named})", _kept(_TENANT)))
        ]
    }


def _service(inputs: Inputs) -> dict[str, Any]:
    """A load balancer of AWS within the VPC; elsewhere one of the cluster's own making, where the stack asks for it."""
    gateway, on_eks = inputs.gateway, inputs.network == "eks"
    annotations = {
        **({"external-dns.alpha.kubernetes.io/hostname": gateway.hostname} if gateway.hostname else {}),
        **(_nlb(gateway, inputs.plan.request_settings) if on_eks else {}),
        **gateway.annotations,
    }
    return {
        "name": inputs.names.service,
        "type": "LoadBalancer" if on_eks or gateway.public else "ClusterIP",
        **({"loadBalancerClass": _NLB_CLASS} if on_eks else {}),
        **({"loadBalancerSourceRanges": ranges(gateway.allow_from)} if gateway.allow_from else {}),
        **({"annotations": annotations} if annotations else {}),
    }


def _nlb(gateway: Gateway, settings: RequestSettings) -> dict[str, str]:
    drain_seconds = min(max(settings.drain_timeout, _NLB_DELAY_MILLISECONDS) // 1000, _MAX_DEREGISTRATION_SECONDS)
    annotations = {
        "scheme": "internet-facing" if gateway.public else "internal",
        "nlb-target-type": "ip",
        "attributes": "load_balancing.cross_zone.enabled=true",
        "target-group-attributes": f"deregistration_delay.timeout_seconds={drain_seconds}",
    }
    if isinstance(gateway.certificate, LoadBalancerCertificate):
        annotations |= {
            "ssl-cert": gateway.certificate.acm,
            "ssl-ports": "443",
            "ssl-negotiation-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        }
    return {f"service.beta.kubernetes.io/aws-load-balancer-{key}": value for key, value in annotations.items()}


def _clients(settings: RequestSettings) -> dict[str, Any]:
    """Bodies are held in memory to be read and sent again; over the limit they are refused with 413, and with smaller
    HTTP/2 windows far below it (envoyproxy/ai-gateway issue 2130)."""
    dropped = [
        *({"type": "Prefix", "value": name} for name in failover.DROPPED_PREFIXES),
        *(
            {"type": "Exact", "value": name}
            for name in (*failover.CLIENT_CREDENTIALS, *failover.CALLER_HEADERS, failover.UNCOUNTABLE)
        ),
    ]
    return {
        "connection": {"bufferLimit": names.quantity(settings.body_limit)},
        "http2": {"initialStreamWindowSize": "16Mi", "initialConnectionWindowSize": "24Mi"},
        "headers": {
            "earlyRequestHeaders": {"removeOnMatch": dropped},
            "lateResponseHeaders": {
                "set": [{"name": failover.REQUEST_ID_HEADER, "value": f"%REQ({failover.REQUEST_ID_HEADER})%"}],
                "remove": [*failover.HOST_HEADERS],
            },
        },
        "timeout": {"http": {"requestReceivedTimeout": names.duration(failover.UPLOAD_SECONDS * 1_000)}},
        "tcpKeepalive": keep_alive(failover.CLIENT_KEEP_ALIVE),
    }
