from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from corral.plan.plan import Credential
from tests.plan.world import HOSTS, LLAMA, build


@dataclass(frozen=True)
class Case:
    name: str
    host: str
    said: Mapping[str, Any]
    region: str | None
    url: str | None


BEDROCK = "https://bedrock-runtime.{}.amazonaws.com"

CASES = [
    Case("Bedrock in the stack's region", "bedrock", {}, "us-east-1", BEDROCK.format("us-east-1")),
    Case("Bedrock in its own", "bedrock", {"region": "us-west-2"}, "us-west-2", BEDROCK.format("us-west-2")),
    Case("an explicit URL", "bedrock", {"url": "https://vpce.example.com/"}, "us-east-1", "https://vpce.example.com"),
    Case("Azure before it is provisioned", "azure", {}, "eastus2", None),
    Case(
        "Azure at an account", "azure", {"resource": "acme"}, "eastus2", "https://acme.services.ai.azure.com/openai/v1"
    ),
    Case("vLLM before it is provisioned", "vllm", {}, "us-east-1", None),
    Case("vLLM behind a URL", "vllm", {"url": "https://gpu.example.com/v1"}, None, "https://gpu.example.com/v1"),
    Case("a hosted API", "groq", {}, None, "https://api.groq.com/openai/v1"),
    Case("a hosted API without a URL", "meta", {"models": {LLAMA: "llama"}}, None, None),
    Case("a host of one's own", "lab", {}, None, "https://lab.example.com/v1"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_which_region_and_which_url_is_called(case: Case) -> None:
    hosts = {case.host: HOSTS[case.host] | dict(case.said)}
    (target,) = build({LLAMA: {"shares": {case.host: 100}}}, hosts).models[0].targets
    assert (target.region, target.url) == (case.region, case.url)


def test_bedrock_without_any_region_has_no_url() -> None:
    (target,) = build({LLAMA: {"shares": {"bedrock": 100}}}, region=None).models[0].targets
    assert (target.region, target.url) == (None, None)


BEARER = Credential(header="authorization", ambient=False, variable="DEEPINFRA_API_KEY")

CREDENTIALS: list[tuple[str, str, Mapping[str, Any], Credential]] = [
    ("as the catalog says", "deepinfra", {}, BEARER),
    ("in the api-key header", "azure", {}, Credential("api-key", ambient=False, variable="AZURE_KEY")),
    ("of the cloud itself", "bedrock", {}, Credential(None, ambient=True, variable="BEDROCK_TOKEN")),
    ("none", "deepinfra", {"auth": "none", "keyVariable": "UNUSED"}, Credential(None, ambient=False, variable=None)),
    (
        "a bearer token instead of the cloud's",
        "bedrock",
        {"auth": "bearer"},
        Credential("authorization", ambient=False, variable="BEDROCK_TOKEN"),
    ),
    (
        "from the variable the stack names",
        "deepinfra",
        {"keyVariable": "MINE"},
        Credential("authorization", ambient=False, variable="MINE"),
    ),
    (
        "from a variable of the host's name",
        "llm-lab",
        HOSTS["lab"],
        Credential("authorization", ambient=False, variable="LLM_LAB_API_KEY"),
    ),
]


@pytest.mark.parametrize(
    ("host", "said", "want"), [case[1:] for case in CREDENTIALS], ids=[case[0] for case in CREDENTIALS]
)
def test_which_credential_a_host_wants(host: str, said: Mapping[str, Any], want: Credential) -> None:
    (target,) = build({LLAMA: {"shares": {host: 100}}}, {host: HOSTS.get(host, {}) | dict(said)}).models[0].targets
    assert target.credential == want
