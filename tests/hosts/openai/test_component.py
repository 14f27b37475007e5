"""Hosted APIs and hosts at a URL: endpoints of the plan's data, the key a secret, nothing provisioned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from corral.hosts.endpoint import Endpoint, KeyCredential
from corral.hosts.openai.component import OpenAIHost, OpenAIHostArgs
from corral.plan.plan import Credential, Target
from corral.testing import NEVER, World, run
from corral.testing.recording import Secret
from tests.plan.world import DEEPINFRA, LAB, LLAMA, SCOUT

OPEN = Credential(header=None, ambient=False, variable=None)


def host(targets: Mapping[str, Target], folder: Path = Path(), *, keyed: bool = True) -> tuple[World, OpenAIHost]:
    made: list[OpenAIHost] = []

    def program() -> None:
        key = pulumi.Output.secret(f"{NEVER}-key") if keyed else None
        made.append(OpenAIHost("lab", OpenAIHostArgs(targets, key, folder)))
        for endpoint in made[0].endpoints.values():
            if isinstance(endpoint.credential, KeyCredential):
                pulumi.export(f"key of {endpoint.model}", endpoint.credential.value)

    return run(program), made[0]


def endpoint(**more: Any) -> Endpoint:
    values: dict[str, Any] = {
        "model": LLAMA,
        "host": "lab",
        "hostname": "lab.example.com",
        "port": 443,
        "tls": True,
        "protocol": "openai",
        "path": "/v1",
        "model_id": "Llama-Lab",
        "credential": None,
        "ca": None,
        "ready": (),
    }
    return Endpoint(**values | more)


CASES = [
    pytest.param(replace(LAB, credential=OPEN), endpoint(), id="https"),
    pytest.param(
        replace(LAB, credential=OPEN, url="http://vllm.llama.svc.cluster.local:8000/v1"),
        endpoint(hostname="vllm.llama.svc.cluster.local", port=8000, tls=False),
        id="a_service_of_the_cluster",
    ),
    pytest.param(
        replace(LAB, credential=OPEN, url="http://lab.example.com"),
        endpoint(port=80, tls=False, path=""),
        id="no_port_and_no_path",
    ),
    pytest.param(
        replace(LAB, credential=OPEN, host="azure", url="https://llm.services.ai.azure.com/openai/v1"),
        endpoint(host="azure", hostname="llm.services.ai.azure.com", path="/openai/v1"),
        id="an_azure_account_that_is_there_already",
    ),
]


@pytest.mark.parametrize(("target", "want"), CASES)
def test_a_url_becomes_an_endpoint(target: Target, want: Endpoint):
    _, made = host({LLAMA: target}, keyed=False)
    assert made.endpoints == {LLAMA: want}


def test_each_model_is_an_endpoint_with_the_hosts_own_id_and_the_same_key_which_is_not_shown():
    world, made = host({SCOUT: replace(DEEPINFRA, model_id="scout-there"), LLAMA: DEEPINFRA})
    assert {name: (each.model, each.model_id, each.path) for name, each in made.endpoints.items()} == {
        LLAMA: (LLAMA, "Llama-3.3-Turbo", "/v1/openai"),
        SCOUT: (SCOUT, "scout-there", "/v1/openai"),
    }
    assert [repr(each.credential) for each in made.endpoints.values()] == ["KeyCredential(header='authorization')"] * 2
    assert world.outputs == {f"key of {name}": Secret(f"{NEVER}-key") for name in (LLAMA, SCOUT)}


def test_nothing_is_provisioned_and_no_key_is_among_the_outputs():
    world, _ = host({LLAMA: LAB})
    (component,) = world.resources
    assert (component.type, component.name, component.inputs) == ("corral:hosts:OpenAI", "lab", {})
    assert world.component_outputs == {component.urn: {"endpoints": {LLAMA: "https://lab.example.com/v1"}}}


def test_a_private_certificate_is_read_from_beside_the_stack_file(tmp_path: Path):
    (tmp_path / "lab.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    _, made = host({LLAMA: replace(LAB, credential=OPEN, ca="lab.pem")}, tmp_path)
    assert made.endpoints == {LLAMA: endpoint(ca="-----BEGIN CERTIFICATE-----\n")}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (LAB, "lab wants a key in authorization and was given none"),
        (replace(LAB, url=None), "lab has no URL: it is no host that is there already"),
    ],
)
def test_a_host_that_cannot_be_called_is_refused(target: Target, message: str):
    with pytest.raises(ValueError, match=message):
        host({LLAMA: target}, keyed=False)
