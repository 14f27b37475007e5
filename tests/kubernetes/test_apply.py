"""A real API server takes what is rendered, rules of the definitions included, and a share edit changes one object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from corral.catalog.load import load_catalog
from corral.config.cluster import Gateway, GivenCertificate, LoadBalancerCertificate
from corral.config.read import read_stack
from corral.gateway.manifests.drill import DRILL_LABEL, drill_manifests
from corral.gateway.manifests.isolation import RESTRICTED
from corral.gateway.manifests.render import render
from corral.gateway.manifests.resource import Network
from corral.gateway.names import ENVOY_NAMESPACE, NAMES
from corral.hosts.endpoint import AmbientCredential, Endpoint
from corral.plan.build import build
from corral.plan.callers import Issuer, Rate
from corral.plan.plan import Plan, Target
from corral.testing.world import manifests as objects_of
from tests.built_programs import UnavailableError
from tests.gateway.deployed import config_of, deploy
from tests.gateway.manifests.plans import (
    API_KEY,
    BEARER,
    CA,
    GATEWAY,
    SIGNED,
    endpoint,
    in_regions,
    inputs,
    model,
    plan,
    tenant,
)
from tests.gateway.test_mirror import with_registry
from tests.kubernetes import crds
from tests.kubernetes.programs import api_server
from tests.kubernetes.server import RefusedError, Server, running
from tests.pulumi_engine.stand_ins.comparison import differences

pytestmark = [pytest.mark.apiserver, crds.needed]

UNDEFINED = {"Certificate", "Issuer", "EnvoyPatchPolicy"}
"""Kinds whose definitions may not be at hand."""

EXAMPLES = Path(__file__).parents[1] / "stacks" / "examples"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        built = api_server()
    except UnavailableError as why:
        pytest.skip(str(why))
    with running(built, tmp_path_factory.mktemp("kubernetes")) as server:
        for definition in crds.widened():
            server.define(definition)
        for namespace in (NAMES.namespace, ENVOY_NAMESPACE, "corral-vllm", "ingress"):
            server.namespace(namespace)
        yield server


def manifests(
    served: Plan, *endpoints: Endpoint, gateway: Gateway = GATEWAY, network: Network = "eks"
) -> dict[str, dict[str, Any]]:
    resources = render(inputs(served, *endpoints, gateway=gateway, network=network))
    return {key: resource.manifest for key, resource in resources.items()}


def reached(model: str, to: Target) -> Endpoint:
    """The target as its host would give it."""
    url = urlsplit(to.url or f"https://{to.host}.example.com/v1")
    key = {"authorization": BEARER, "api-key": API_KEY}[to.credential.header] if to.credential.header else None
    return endpoint(
        to.host,
        model,
        hostname=url.hostname,
        protocol=to.protocol,
        path=url.path,
        model_id=to.model_id,
        credential=AmbientCredential(to.region) if to.credential.ambient and to.region else key,
    )


SAMPLES = {
    "one host": manifests(plan(model("llama", {"a": 100}))),
    "names of all sorts": manifests(
        plan(model("A" * 128, {"a" * 40: 60, "0": 40}, ["z"]), model("a/b:c_d.e", {"0": 100}))
    ),
    "hosts of all sorts": manifests(
        plan(model("llama", {"azure": 50, "bedrock": 50, "drained": 0}, ["vllm", "lab"])),
        endpoint("azure", "llama", credential=API_KEY, path="/openai/v1"),
        endpoint("bedrock", "llama", **SIGNED),
        endpoint("drained", "llama", credential=None),
        endpoint("vllm", "llama", tls=False, port=8000, credential=None, body={"seed": "1"}),
        endpoint("lab", "llama", ca=CA),
    ),
    "tenants of all sorts": manifests(
        plan(
            in_regions(model("llama", {"a": 60, "b": 40}, ["c"]), {"a": "east", "b": "west", "c": "west"}),
            in_regions(model("scout", {"b": 100}), {"b": "west"}),
            tenants=[
                tenant("all", "llama", "scout"),
                tenant("bound", "scout", rate=Rate(10**9, 10**9)),
                tenant("west", "llama", "scout", allowed_regions=frozenset({"west"}), rates=(("llama", Rate(1, 1)),)),
            ],
        ),
    ),
    "tokens of issuers": manifests(
        plan(
            model("llama", {"a": 100}),
            tenants=[tenant("all", "llama", claims=("x|y", "team.all"))],
            issuers=[
                Issuer("https://login.example.com/", ("corral",), "https://login.example.com/keys", None, "realm.team")
            ],
        ),
    ),
    "a certificate of the load balancer": manifests(
        plan(model("llama", {"a": 100})),
        gateway=Gateway(
            public=True,
            hostname="llm.example.com",
            certificate=LoadBalancerCertificate(
                acm="arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
            ),
        ),
    ),
    "a certificate of another namespace": manifests(
        plan(model("llama", {"a": 100})),
        gateway=Gateway(certificate=GivenCertificate(secret="ingress/llm")),
        network="other",
    ),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_object_is_taken(sample: str, server: Server):
    assert refusals(server, SAMPLES[sample]) == []


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_every_object_of_a_stack_is_taken(stack: str, server: Server):
    catalog = load_catalog()
    served = build(read_stack(EXAMPLES / f"Pulumi.{stack}.yaml", catalog), catalog)
    endpoints = [reached(one.name, to) for one in served.models for to in one.targets]
    assert refusals(server, manifests(served, *endpoints)) == []


@pytest.mark.parametrize("stack", ["kind", "prod", "staging"])
def test_every_object_of_a_program_is_kept_as_it_is_so_that_the_next_update_changes_nothing(
    stack: str, server: Server, tmp_path: Path
):
    world = deploy(stack, tmp_path, with_registry(stack, None))
    applied = {resource.name: one for resource, one in objects_of(world) if server.defines(one)}
    assert {one["kind"] for one in applied.values()} >= {"Gateway", "AIGatewayRoute", "SecurityPolicy"}
    differing = {name: differences(server.apply(one), one, one) for name, one in applied.items()}
    assert {name: where for name, where in differing.items() if where} == {}


def test_the_pods_of_the_stack_itself_are_of_the_level_of_their_namespaces(server: Server, tmp_path: Path):
    server.namespace("restricted", **RESTRICTED)
    config = {**config_of("kind"), "corral:tenants": {"default": {"tokensPerMinute": 1_000}}}
    redis = deploy("kind", tmp_path, config)["gateway-software-redis-server"].inputs["spec"]["template"]
    drill = drill_manifests("registry.example.com/corral-drill", {"a": 8001}, {DRILL_LABEL: "kind"})["pod"]
    for pod in (redis, drill):
        server.admit("restricted", pod["spec"])
    with pytest.raises(RefusedError, match='violates PodSecurity "restricted:latest"'):
        server.admit("restricted", {"containers": [{"name": "root", "image": "busybox"}]})


def refusals(server: Server, objects: dict[str, dict[str, Any]]) -> list[str]:
    defined = {key: one for key, one in objects.items() if server.defines(one)}
    assert {one["kind"] for key, one in objects.items() if key not in defined} <= UNDEFINED
    refused: list[str] = []
    for key, one in defined.items():
        try:
            server.apply(one)
        except RefusedError as why:
            refused.append(f"{key}: {why}")
    return refused


def test_what_breaks_a_rule_of_the_definitions_is_refused(server: Server):
    backend = manifests(plan(model("llama", {"a": 100})))["backend/a/llama"]
    backend["spec"]["type"] = "DynamicResolver"
    with pytest.raises(RefusedError, match="DynamicResolver type cannot have endpoints specified"):
        server.apply(backend)


def test_a_share_edit_changes_one_object(server: Server):
    others = model("scout", {"a": 100})
    was = versions(server, plan(model("llama", {"a": 60, "b": 40}, ["c"]), others))
    now = versions(server, plan(model("llama", {"a": 0, "b": 100}, ["c"]), others))
    assert [key for key in was if was[key] != now[key]] == ["route/llama"]


def versions(server: Server, served: Plan) -> dict[str, str]:
    return {
        key: server.apply(one)["metadata"]["resourceVersion"]
        for key, one in manifests(served).items()
        if server.defines(one)
    }


def test_the_first_of_the_managed_fields_tells_when_an_object_was_applied(server: Server):
    route = manifests(plan(model("waited-for", {"a": 100})))["route/waited-for"]
    server.apply(route)
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Reconciled",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    updated = server.set_status(route, {"conditions": [condition]})
    fields = [(field["manager"], field["operation"]) for field in updated["metadata"]["managedFields"]]
    assert fields == [("pulumi", "Apply"), ("controller", "Update")]
