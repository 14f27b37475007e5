"""The access log: one JSON object a line for each request, on the standard output of each Envoy.  No text of a prompt
or an answer, and no key, is in it.

The names are those of the local engine's log.  Who calls is in a header until the request goes to a host, which has
no business with it; for then Envoy AI Gateway keeps it beside what it knows itself (`KEPT_OF_REQUESTS`).  So there are
two formats, of which each request matches one.

Tokens are what the host counts.  Envoy AI Gateway asks for that of streams too once it is to count (as `include_usage`
of `stream_options`), and says 0 where a host does not answer it.

What stands in front of every route: the Gateway, how large it gets, how it is reached, and who may call it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from corral.config.cluster import Certificate, Gateway, GivenCertificate, IssuedCertificate, LoadBalancerCertificate
from corral.gateway.manifests.resource import (
    AI_GATEWAY,
    ENVOY_GATEWAY,
    GATEWAY_API,
    Inputs,
    Network,
    Resource,
    keep_alive,
    manifest,
    target,
)
from corral.gateway.manifests.tenants import TOKEN_COSTS, Caller, access, rules
from corral.gateway.names import (
    CERTIFICATE_SECRET,
    GATEWAY,
    HOST_HEADER,
    METADATA,
    MODEL_HEADER,
    NAMESPACE,
    SERVICE,
    SERVICE_ACCOUNT,
    TENANT_HEADER,
    duration,
    object_name,
    quantity,
)
from corral.plan.failover import (
    CALLER_HEADERS,
    CLIENT_CREDENTIALS,
    CLIENT_KEEP_ALIVE,
    DROPPED_PREFIXES,
    UNCOUNTABLE,
    UPLOAD_SECONDS,
)
from corral.plan.plan import Limits, Plan

_TENANT = "tenant"

KEPT_OF_REQUESTS = f"{TENANT_HEADER}:{_TENANT}"
"""Header and name, as Envoy AI Gateway's controller is told what of a request to keep for the log."""

TOKENS = [
    {"metadataKey": "input_tokens", "type": "InputToken"},
    {"metadataKey": "output_tokens", "type": "OutputToken"},
]
"""What Envoy AI Gateway is to count for it."""

_STILL_SAYS_WHO = f"'{TENANT_HEADER}' in request.headers"


def _known(key: str) -> str:
    return f"%DYNAMIC_METADATA({METADATA}:{key})%"


_FIELDS = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "id": "%REQ(x-request-id)%",
    "model": f"%REQ({MODEL_HEADER})%",
    "host": f"%REQ({HOST_HEADER})%",
    "host_model": _known("model_name_override"),
    "method": "%REQ(:method)%",
    "path": "%REQ_WITHOUT_QUERY(x-ai-eg-original-path?:path)%",
    "status": "%RESPONSE_CODE%",
    **{each["metadataKey"]: _known(each["metadataKey"]) for each in TOKENS},
    "first_byte_ms": "%RESPONSE_DURATION%",
    "duration_ms": "%DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "flags": "%RESPONSE_FLAGS%",
}


def access_log() -> dict[str, Any]:
    """For the telemetry of an EnvoyProxy."""
    return {
        "settings": [
            _setting(_STILL_SAYS_WHO, f"%REQ({TENANT_HEADER})%"),
            _setting(f"!({_STILL_SAYS_WHO})", _known(_TENANT)),
        ]
    }


def _setting(matches: str, tenant: str) -> dict[str, Any]:
    return {
        "matches": [matches],
        "format": {"type": "JSON", "json": {**_FIELDS, "tenant": tenant}},
        "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}],
    }


TENANTS = "tenants"
"""The key of the secret that has the tenants' API keys."""

_CLASS = "eks.amazonaws.com/nlb"
"""The load balancers of EKS Auto Mode."""

_LONGEST_DEREGISTRATION = 3_600
"""Seconds for which a load balancer of AWS lets a target finish at most."""

_ENVOY = {"cpu": "500m", "memory": "1Gi"}
_PROCESSOR = {"cpu": "500m", "memory": "512Mi"}
"""What an Envoy, and the processor beside it, are sure to get.  Scaling by CPU needs both to be said."""


def front_resources(inputs: Inputs, callers: Mapping[str, Caller]) -> dict[str, Resource]:
    """By key, in the order in which they are made."""
    plan, gateway, limits, labels = inputs.plan, inputs.gateway, inputs.plan.limits, inputs.labels
    to_gateway = {"targetRefs": [target(GATEWAY_API, "Gateway", GATEWAY)]}
    envoy = f"{ENVOY_GATEWAY}/v1alpha1"

    def made(
        api: str, kind: str, spec: dict[str, Any], *needs: str, annotations: Mapping[str, str] | None = None
    ) -> Resource:
        return Resource(manifest(api, kind, GATEWAY, spec, labels, annotations), needs)

    controller = f"{ENVOY_GATEWAY}/gatewayclass-controller"
    certificate = _certificate(gateway, labels)
    costs = [*(TOKENS if gateway.count_tokens else ()), *(TOKEN_COSTS if inputs.counts_tokens else ())]
    return {
        "class": made(f"{GATEWAY_API}/v1", "GatewayClass", {"controllerName": controller}),
        "proxy": made(envoy, "EnvoyProxy", _proxy(gateway, limits, inputs.network)),
        "processor": made(
            f"{AI_GATEWAY}/v1beta1",
            "GatewayConfig",
            {
                "extProc": {"kubernetes": {"resources": {"requests": _PROCESSOR}}},
                **({"globalLLMRequestCosts": costs} if costs else {}),
            },
        ),
        **certificate,
        "gateway": made(
            f"{GATEWAY_API}/v1",
            "Gateway",
            _gateway(gateway.certificate),
            *("class", "proxy", "processor", *certificate),
            annotations={f"{AI_GATEWAY}/gateway-config": GATEWAY},
        ),
        "clients": made(envoy, "ClientTrafficPolicy", {**to_gateway, **_clients(limits)}, "gateway"),
        **(
            {"limits": made(envoy, "BackendTrafficPolicy", {**to_gateway, **_counted(plan, callers)}, "gateway")}
            if inputs.has_limits
            else {}
        ),
        "access": made(
            envoy,
            "SecurityPolicy",
            {**to_gateway, **access(plan, callers, inputs.issuer_keys)},
            *("gateway", *(() if plan.issuers else (TENANTS,))),
        ),
    }


def scheme(gateway: Gateway) -> Literal["http", "https"]:
    """How clients call."""
    return "https" if gateway.certificate else "http"


def _proxy(gateway: Gateway, limits: Limits, network: Network) -> dict[str, Any]:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}
    return {
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {
                "envoyServiceAccount": {"name": SERVICE_ACCOUNT},
                "envoyDeployment": {
                    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                    "pod": {
                        "topologySpreadConstraints": [
                            _spread("topology.kubernetes.io/zone"),
                            _spread("kubernetes.io/hostname"),
                        ]
                    },
                    "container": {"resources": {"requests": _ENVOY}},
                },
                "envoyHpa": {
                    "minReplicas": gateway.replicas.min,
                    "maxReplicas": gateway.replicas.max,
                    "metrics": [{"type": "Resource", "resource": cpu}],
                },
                "envoyPDB": {"maxUnavailable": 1},
                "envoyService": _service(gateway, limits, network),
            },
        },
        "shutdown": {"drainTimeout": duration(limits.drain_timeout), "minDrainDuration": "10s"},
        "telemetry": {"accessLog": access_log()},
    }


def _spread(topology: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {f"{ENVOY_GATEWAY}/owning-gateway-name": GATEWAY}},
    }


def _service(gateway: Gateway, limits: Limits, network: Network) -> dict[str, Any]:
    """A load balancer of AWS within the VPC; elsewhere one of the cluster's own making, where the stack asks for it."""
    annotations = {
        **({"external-dns.alpha.kubernetes.io/hostname": gateway.hostname} if gateway.hostname else {}),
        **(_nlb(gateway, limits) if network == "eks" else {}),
        **gateway.annotations,
    }
    return {
        "name": SERVICE,
        "type": "LoadBalancer" if network == "eks" or gateway.public else "ClusterIP",
        **({"loadBalancerClass": _CLASS} if network == "eks" else {}),
        **({"annotations": annotations} if annotations else {}),
    }


def _nlb(gateway: Gateway, limits: Limits) -> dict[str, str]:
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    drain = min(limits.drain_timeout // 1000, _LONGEST_DEREGISTRATION)
    said = {
        "scheme": "internet-facing" if gateway.public else "internal",
        "nlb-target-type": "ip",
        "attributes": "load_balancing.cross_zone.enabled=true",
        "target-group-attributes": f"deregistration_delay.timeout_seconds={drain}",
    }
    if isinstance(gateway.certificate, LoadBalancerCertificate):
        said |= {
            "ssl-cert": gateway.certificate.acm,
            "ssl-ports": "443",
            "ssl-negotiation-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        }
    return {f"{prefix}{key}": value for key, value in said.items()}


def _gateway(certificate: Certificate | None) -> dict[str, Any]:
    match certificate:
        case None:
            listener: dict[str, Any] = {"name": "http", "port": 80, "protocol": "HTTP"}
        case LoadBalancerCertificate():
            listener = {"name": "https", "port": 443, "protocol": "HTTP"}
        case GivenCertificate(secret=secret):
            namespace, name = secret.split("/")
            listener = _https({**target("", "Secret", name), "namespace": namespace})
        case IssuedCertificate():
            listener = _https(target("", "Secret", CERTIFICATE_SECRET))
    return {
        "gatewayClassName": GATEWAY,
        "infrastructure": {"parametersRef": target(ENVOY_GATEWAY, "EnvoyProxy", GATEWAY)},
        "listeners": [{**listener, "allowedRoutes": {"namespaces": {"from": "Same"}}}],
    }


def _https(certificate: dict[str, str]) -> dict[str, Any]:
    return {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "tls": {"mode": "Terminate", "certificateRefs": [certificate]},
    }


def _certificate(gateway: Gateway, labels: Mapping[str, str]) -> dict[str, Resource]:
    """What brings the certificate within the Gateway's reach."""
    match gateway.certificate:
        case GivenCertificate(secret=secret):
            namespace, name = secret.split("/")
            grant = manifest(
                f"{GATEWAY_API}/v1beta1",
                "ReferenceGrant",
                object_name(NAMESPACE, name),
                {
                    "from": [{"group": GATEWAY_API, "kind": "Gateway", "namespace": NAMESPACE}],
                    "to": [target("", "Secret", name)],
                },
                labels,
            )
            grant["metadata"]["namespace"] = namespace
            return {"certificate": Resource(grant)}
        case IssuedCertificate(issuer=issuer):
            spec = {
                "secretName": CERTIFICATE_SECRET,
                "dnsNames": [gateway.hostname],
                "issuerRef": target("cert-manager.io", "ClusterIssuer", issuer),
            }
            return {"certificate": Resource(manifest("cert-manager.io/v1", "Certificate", GATEWAY, spec, labels))}
        case _:
            return {}


def _clients(limits: Limits) -> dict[str, Any]:
    """Bodies are held in memory to be read and sent again; over the limit they are refused with 413, and with smaller
    HTTP/2 windows far below it (envoyproxy/ai-gateway issue 2130)."""
    dropped = [
        *({"type": "Prefix", "value": name} for name in DROPPED_PREFIXES),
        *({"type": "Exact", "value": name} for name in (*CLIENT_CREDENTIALS, *CALLER_HEADERS, UNCOUNTABLE)),
    ]
    return {
        "connection": {"bufferLimit": quantity(limits.body_limit)},
        "http2": {"initialStreamWindowSize": "16Mi", "initialConnectionWindowSize": "24Mi"},
        "headers": {"earlyRequestHeaders": {"removeOnMatch": dropped}},
        "timeout": {"http": {"requestReceivedTimeout": duration(UPLOAD_SECONDS * 1_000)}},
        "tcpKeepalive": keep_alive(CLIENT_KEEP_ALIVE),
    }


def _counted(plan: Plan, callers: Mapping[str, Caller]) -> dict[str, Any]:
    return {"rateLimit": {"global": {"rules": rules(plan, callers)}}}
