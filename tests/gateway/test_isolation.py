"""Who comes to the pods of the gateway's software: the network policies of the recorded program, read as a network
plugin reads them, for every pod and port, against the list of ways that are needed."""

from __future__ import annotations

from typing import Any

import pytest

from corral.testing import World
from corral.testing.world import manifests
from tests.gateway.deployed import config_of, deploy

Pod = tuple[str, dict[str, str]]
"""Namespace and labels."""

ENVOYS, AI, CERT = "envoy-gateway-system", "envoy-ai-gateway-system", "cert-manager"

PODS: dict[str, Pod] = {  # as Envoy Gateway 1.8.3, Envoy AI Gateway 1.1.0 and cert-manager 1.21.2 label them
    "envoy": (ENVOYS, {"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/component": "proxy"}),
    "envoy gateway": (ENVOYS, {"control-plane": "envoy-gateway", "app.kubernetes.io/name": "gateway-helm"}),
    "rate limiter": (ENVOYS, {"app.kubernetes.io/name": "envoy-ratelimit", "app.kubernetes.io/component": "ratelimit"}),
    "redis": (ENVOYS, {"app.kubernetes.io/name": "corral-redis"}),
    "another there": (ENVOYS, {"app": "another"}),
    "envoy ai gateway": (AI, {"app.kubernetes.io/name": "ai-gateway-helm"}),
    "cert-manager": (CERT, {"app.kubernetes.io/component": "webhook"}),
    "prometheus": ("monitoring", {}),
    "a client": ("team", {}),
}
PORTS = {
    "envoy": (10443, 10080, 19000, 19001, 19002, 19003, 1064),
    "envoy gateway": (18000, 18001, 18002, 19001, 9443, 8081),
    "rate limiter": (8081, 19001, 8080),
    "redis": (6379,),
    "another there": (8080,),
    "envoy ai gateway": (1063, 9443, 8080, 18002),
    "cert-manager": (10250, 9402, 6080),
}
"""The ports on which each listens."""

ANYBODY = {*PODS, "outside"}

WAYS = {
    ("envoy", 10443): ANYBODY,
    ("envoy", 10080): ANYBODY,
    ("envoy gateway", 18000): {"envoy"},
    ("envoy gateway", 18001): {"rate limiter"},
    ("rate limiter", 8081): {"envoy"},
    ("redis", 6379): {"rate limiter"},
    ("envoy ai gateway", 1063): {"envoy gateway"},
    ("envoy ai gateway", 9443): ANYBODY,
    ("cert-manager", 10250): ANYBODY,
}
SCRAPED = (
    *(("envoy", 19001), ("envoy", 1064), ("envoy gateway", 19001), ("rate limiter", 19001)),
    *(("envoy ai gateway", 8080), ("cert-manager", 9402)),
)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def lets(rule: dict[str, Any], source: Pod | None, namespace: str, port: int) -> bool:
    if {"protocol": "TCP", "port": port} not in rule["ports"]:
        return False
    return "from" not in rule or any(source is not None and comes(peer, source, namespace) for peer in rule["from"])


def comes(peer: dict[str, Any], source: Pod, namespace: str) -> bool:
    assert peer.keys() <= {"podSelector", "namespaceSelector"}
    where = {"kubernetes.io/metadata.name": source[0]}
    within = selects(peer["namespaceSelector"], where) if "namespaceSelector" in peer else source[0] == namespace
    return within and selects(peer.get("podSelector", {}), source[1])


def ways(world: World) -> dict[tuple[str, int], set[str]]:
    """By pod and port who may come there."""
    policies = [one for _, one in manifests(world) if one["kind"] == "NetworkPolicy"]
    allowed: dict[tuple[str, int], set[str]] = {}
    for name, ports in PORTS.items():
        namespace, labels = PODS[name]
        for_pod = [
            policy["spec"]
            for policy in policies
            if policy["metadata"]["namespace"] == namespace and selects(policy["spec"]["podSelector"], labels)
        ]
        assert all("Ingress" in spec["policyTypes"] for spec in for_pod)
        rules = [rule for spec in for_pod for rule in spec.get("ingress", [])]
        for port in ports:
            sources = {who for who in ANYBODY if any(lets(each, PODS.get(who), namespace, port) for each in rules)}
            if sources or not for_pod:
                allowed[name, port] = sources if for_pod else ANYBODY
    return allowed


@pytest.fixture(scope="module", params=["scraped", "not scraped"])
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    config = config_of("kind")
    config["corral:tenants"] = {"default": {"tokensPerMinute": 1000}}
    if request.param == "scraped":
        config["corral:cluster"]["prometheus"] = {"url": "http://prometheus.monitoring:9090"}
    return deploy("kind", tmp_path_factory.mktemp("kind"), config)


def test_nobody_comes_to_a_pod_but_by_the_ways_that_are_needed(deployed: World):
    scraped = any(each.name == "gateway-scaling" for each in deployed.resources)
    assert ways(deployed) == WAYS | ({each: {"prometheus"} for each in SCRAPED} if scraped else {})


def test_ways_are_open_before_all_others_are_closed_and_both_before_there_are_pods(deployed: World):
    for part, release in (("envoy", "envoy-gateway"), ("ai", "ai-gateway"), ("cert", "cert-manager")):
        names = [each.name for each in deployed.resources if f"-{part}-policy/" in each.name]
        closed = deployed[f"gateway-software-{part}-policy/nobody-else"]
        opened = {deployed[name].urn for name in names} - {closed.urn}
        assert opened <= closed.dependencies
        assert closed.urn in deployed[f"gateway-software-{release}"].dependencies


def test_the_namespaces_of_the_gateway_take_no_pod_that_could_do_more_than_it_needs(deployed: World):
    levels = {
        one["metadata"]["name"]: one["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
        for _, one in manifests(deployed)
        if one["kind"] == "Namespace"
    }
    assert levels == {
        "cert-manager": "restricted",
        "corral": "restricted",
        "corral-vllm": "baseline",
        "envoy-ai-gateway-system": "restricted",
        "envoy-gateway-system": "restricted",
    }
