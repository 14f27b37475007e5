"""The gateway's listener, its certificate, who can reach it, and its access log."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from corral.config.cluster import Gateway, GivenCertificate, IssuedCertificate, LoadBalancerCertificate, Prometheus
from corral.gateway.manifests.front import KEPT_HEADERS, LOGGED_TOKENS, access_log, front_resources
from corral.gateway.manifests.render import render
from corral.gateway.manifests.resource import Network
from corral.local.module.compiler import SOURCES
from tests.gateway.manifests.plans import LABELS, inputs, model, plan

ROUTES = {"namespaces": {"from": "Same"}}
ARN = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"


def https(**reference: str) -> dict[str, Any]:
    certificate = {"group": "", "kind": "Secret", **reference}
    tls = {"mode": "Terminate", "certificateRefs": [certificate]}
    return {"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls, "allowedRoutes": ROUTES}


@pytest.mark.parametrize(
    ("gateway", "listener", "certificate"),
    [
        (
            Gateway(certificate=LoadBalancerCertificate(acm=ARN)),
            {"name": "https", "port": 443, "protocol": "HTTP", "allowedRoutes": ROUTES},
            None,
        ),
        (
            Gateway(certificate=GivenCertificate(secret="ingress/llm")),
            https(name="llm", namespace="ingress"),
            (
                "ReferenceGrant",
                "ingress",
                {
                    "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "corral"}],
                    "to": [{"group": "", "kind": "Secret", "name": "llm"}],
                },
            ),
        ),
        (
            Gateway(hostname="llm.example.com", certificate=IssuedCertificate(issuer="letsencrypt")),
            https(name="certificate"),
            (
                "Certificate",
                "corral",
                {
                    "secretName": "certificate",
                    "dnsNames": ["llm.example.com"],
                    "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt"},
                },
            ),
        ),
    ],
    ids=["acm", "secret", "issuer"],
)
def test_the_gateway_proves_its_name_with_the_certificate_of_the_stack(
    gateway: Gateway, listener: dict[str, Any], certificate: tuple[str, str, dict[str, Any]] | None
):
    resources = front_resources(inputs(plan(), gateway=gateway), {})
    source = resources["certificate"].manifest if "certificate" in resources else None
    assert (
        resources["gateway"].manifest["spec"]["listeners"],
        source and (source["kind"], source["metadata"]["namespace"], source["spec"]),
        "certificate" in resources["gateway"].needs,
    ) == ([listener], certificate, certificate is not None)


BY_AUTHORITY = {
    "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": "authority"},
    "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
}
SERVICE = "corral-gateway.envoy-gateway-system"


@pytest.mark.parametrize(
    ("gateway", "region", "listeners", "names"),
    [
        (Gateway(), None, [https(name="certificate")], []),
        (Gateway(), "eu-west-1", [https(name="certificate")], ["*.elb.eu-west-1.amazonaws.com"]),
        (
            Gateway(plain_http=True),
            None,
            [https(name="certificate"), {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": ROUTES}],
            [],
        ),
    ],
    ids=["elsewhere", "on AWS", "plain HTTP as well"],
)
def test_where_the_stack_names_no_certificate_an_authority_of_its_own_issues_one(
    gateway: Gateway, region: str | None, listeners: list[dict[str, Any]], names: list[str]
):
    resources = front_resources(inputs(plan(), gateway=gateway, region=region), {})
    keys = ("self-signed", "authority", "issuer", "certificate", "trust")
    got = {key: (resources[key].manifest["kind"], resources[key].name, resources[key].needs) for key in keys}
    specs = {key: resources[key].manifest["spec"] for key in keys}
    assert resources["gateway"].manifest["spec"]["listeners"] == listeners
    assert {*keys} <= {*resources["gateway"].needs}
    assert got == {
        "self-signed": ("Issuer", "self-signed", ()),
        "authority": ("Certificate", "authority", ("self-signed",)),
        "issuer": ("Issuer", "authority", ("authority",)),
        "certificate": ("Certificate", "corral", ("issuer",)),
        "trust": ("Certificate", "trust", ("issuer",)),
    }
    assert specs == {
        "self-signed": {"selfSigned": {}},
        "authority": {
            "secretName": "authority",
            "isCA": True,
            "commonName": "Corral corral",
            "duration": "87600h",
            "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": "self-signed"},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Never"},
        },
        "issuer": {"ca": {"secretName": "authority"}},
        "certificate": {
            **BY_AUTHORITY,
            "secretName": "certificate",
            "dnsNames": [f"{SERVICE}.svc.cluster.local", f"{SERVICE}.svc", SERVICE, "localhost", *names],
            "ipAddresses": ["127.0.0.1"],
        },
        "trust": {**BY_AUTHORITY, "secretName": "trust", "dnsNames": ["trust.invalid"], "usages": ["client auth"]},
    }


def test_the_name_by_which_clients_call_is_in_the_certificate_of_the_own_authority():
    resources = front_resources(inputs(plan(), gateway=Gateway(hostname="llm.example.com"), region=None), {})
    assert resources["certificate"].manifest["spec"]["dnsNames"][0] == "llm.example.com"


LBC = "service.beta.kubernetes.io/aws-load-balancer-"
NLB = {
    f"{LBC}scheme": "internal",
    f"{LBC}nlb-target-type": "ip",
    f"{LBC}attributes": "load_balancing.cross_zone.enabled=true",
    f"{LBC}target-group-attributes": "deregistration_delay.timeout_seconds=600",
}
ON_EKS = {"name": "corral-gateway", "type": "LoadBalancer", "loadBalancerClass": "eks.amazonaws.com/nlb"}


@pytest.mark.parametrize(
    ("gateway", "network", "want"),
    [
        (Gateway(), "eks", {**ON_EKS, "annotations": NLB}),
        (
            Gateway(public=True, hostname="llm.example.com", certificate=LoadBalancerCertificate(acm=ARN)),
            "eks",
            {
                **ON_EKS,
                "annotations": {
                    **NLB,
                    f"{LBC}scheme": "internet-facing",
                    f"{LBC}ssl-cert": ARN,
                    f"{LBC}ssl-ports": "443",
                    f"{LBC}ssl-negotiation-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
                    "external-dns.alpha.kubernetes.io/hostname": "llm.example.com",
                },
            },
        ),
        (
            Gateway(annotations={f"{LBC}attributes": "deletion_protection.enabled=true"}),
            "eks",
            {**ON_EKS, "annotations": {**NLB, f"{LBC}attributes": "deletion_protection.enabled=true"}},
        ),
        (Gateway(), "other", {"name": "corral-gateway", "type": "ClusterIP"}),
        (
            Gateway(public=True, annotations={"a": "b"}),
            "other",
            {"name": "corral-gateway", "type": "LoadBalancer", "annotations": {"a": "b"}},
        ),
        (
            Gateway(public=True, allow_from=["203.0.113.0/24", "198.51.100.7"]),
            "other",
            {
                "name": "corral-gateway",
                "type": "LoadBalancer",
                "loadBalancerSourceRanges": ["203.0.113.0/24", "198.51.100.7/32"],
            },
        ),
    ],
    ids=[
        "within a VPC",
        "public",
        "with the stack's annotations",
        "another cluster",
        "another cluster, public",
        "public to some",
    ],
)
def test_nothing_is_public_unless_the_stack_asks(gateway: Gateway, network: Network, want: dict[str, Any]):
    proxy = front_resources(inputs(plan(), gateway=gateway, network=network), {})["proxy"].manifest
    assert proxy["spec"]["provider"]["kubernetes"]["envoyService"] == want


@pytest.mark.parametrize(
    ("network", "drain_timeout", "want", "deregistration"),
    [
        ("eks", 600_000, ("10m", "2m30s"), 600),
        ("eks", 30_000, ("2m30s", "2m30s"), 150),
        ("other", 600_000, ("10m", "10s"), None),
        ("other", 5_000, ("10s", "10s"), None),
    ],
)
def test_an_envoy_that_goes_takes_connections_for_as_long_as_it_is_given_any(
    network: Network, drain_timeout: int, want: tuple[str, str], deregistration: int | None
):
    settings = replace(plan().request_settings, drain_timeout=drain_timeout)
    resources = front_resources(inputs(replace(plan(), request_settings=settings), network=network), {})
    spec = resources["proxy"].manifest["spec"]
    annotations = spec["provider"]["kubernetes"]["envoyService"].get("annotations", {})
    target_group = annotations.get(f"{LBC}target-group-attributes")
    assert (spec["shutdown"], target_group) == (
        {"drainTimeout": want[0], "minDrainDuration": want[1]},
        deregistration and f"deregistration_delay.timeout_seconds={deregistration}",
    )


PROMETHEUS = Prometheus(url="http://prometheus.monitoring:9090", monitor_labels={"release": "prom"})


def test_envoys_come_and_go_with_the_requests_under_way_where_these_are_counted():
    resources = render(inputs(plan(model("llama", {"a": 100})), prometheus=PROMETHEUS))
    provider = resources["proxy"].manifest["spec"]["provider"]["kubernetes"]
    scaling = resources["scaling"].manifest
    assert ("envoyHpa" in provider, provider["envoyDeployment"]["name"]) == (False, "envoy-corral-corral-f314e704")
    assert scaling["metadata"] == {
        "name": "corral",
        "namespace": "envoy-gateway-system",
        "labels": LABELS,
        "annotations": {"validations.keda.sh/hpa-ownership": "false"},
    }
    query = (
        'sum(envoy_http_downstream_rq_active{namespace="envoy-gateway-system",'
        'envoy_http_conn_manager_prefix=~"https?-.*"})'
    )
    by_requests = {
        "serverAddress": "http://prometheus.monitoring:9090",
        "query": query,
        "threshold": "300",
        "activationThreshold": "0",
        "ignoreNullValues": "false",
    }
    assert scaling["spec"] == {
        "scaleTargetRef": {"name": "envoy-corral-corral-f314e704"},
        "minReplicaCount": 2,
        "maxReplicaCount": 10,
        "pollingInterval": 15,
        "cooldownPeriod": 900,
        "fallback": {"failureThreshold": 4, "replicas": 2, "behavior": "currentReplicasIfHigher"},
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleUp": {"stabilizationWindowSeconds": 0},
                    "scaleDown": {
                        "stabilizationWindowSeconds": 300,
                        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                    },
                }
            }
        },
        "triggers": [
            {"type": "prometheus", "metadata": by_requests},
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},
        ],
    }
    assert not {"scaling", "monitor"} & {*resources["route/llama"].needs}


@pytest.mark.parametrize("scrape", ["serviceMonitor", "annotations"])
def test_envoys_and_their_processors_are_scraped_by_a_monitor_that_the_operator_selects(scrape: str):
    prometheus = PROMETHEUS.model_copy(update={"scrape": scrape})
    resources = render(inputs(plan(model("llama", {"a": 100})), prometheus=prometheus))
    monitor = resources["monitor"].manifest if "monitor" in resources else None
    assert (monitor and (monitor["metadata"]["labels"], monitor["spec"])) == (
        None
        if scrape == "annotations"
        else (
            {**LABELS, "release": "prom"},
            {
                "selector": {"matchLabels": {"gateway.envoyproxy.io/owning-gateway-name": "corral"}},
                "podMetricsEndpoints": [
                    {"port": "metrics", "path": "/stats/prometheus", "interval": "15s"},
                    {"port": "aigw-admin", "path": "/metrics", "interval": "15s"},
                ],
            },
        )
    )


@pytest.mark.parametrize(
    ("gateway", "routes"),
    [
        (Gateway(), ["corral/corral/https"]),
        (Gateway(certificate=LoadBalancerCertificate(acm=ARN)), ["corral/corral/https"]),
        (Gateway(plain_http=True), ["corral/corral/https", "corral/corral/http"]),
    ],
    ids=["own", "acm", "plain HTTP as well"],
)
def test_the_routes_that_are_set_aside_are_those_of_all_listeners_of_the_gateway(gateway: Gateway, routes: list[str]):
    one = plan(model("llama", {"a": 100}))
    resources = render(inputs(one, gateway=gateway))
    listeners = resources["gateway"].manifest["spec"]["listeners"]
    patches = resources["succession/llama"].manifest["spec"]["jsonPatches"]
    assert [patch["name"] for patch in patches] == routes
    assert [f"corral/corral/{listener['name']}" for listener in listeners] == routes


def test_what_both_engines_log_has_one_name():
    (source,) = (file.read_text() for file in SOURCES if file.name == "log.c")
    local = re.findall(r'[{,]\\"(\w+)\\":', source)
    assert len(local) == len(set(local))
    for setting in access_log()["settings"]:
        alone = {"stream", "failure", "estimated", "limit", "commit", "wait_ms"}
        assert sorted(setting["format"]["json"]) == sorted({*local} - alone)


def test_a_request_is_logged_once_and_its_tenant_found_where_it_still_is():
    settings = [(each["matches"], each["format"]["json"]["tenant"]) for each in access_log()["settings"]]
    assert settings == [
        (["'x-corral-tenant' in request.headers"], "%REQ(x-corral-tenant)%"),
        (["!('x-corral-tenant' in request.headers)"], "%DYNAMIC_METADATA(io.envoy.ai_gateway:tenant)%"),
    ]
    assert KEPT_HEADERS == "x-corral-tenant:tenant"


def test_tokens_are_read_where_they_are_counted():
    fields = access_log()["settings"][0]["format"]["json"]
    assert [fields[each["metadataKey"]] for each in LOGGED_TOKENS] == [
        f"%DYNAMIC_METADATA(io.envoy.ai_gateway:{kind}_tokens)%" for kind in ("input", "cached", "output", "reasoning")
    ]
