from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.plan.world import HOSTS, LLAMA, build

PROFILE = ("us-east-1", "us-east-2", "us-west-2")
ARN = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"
WEIGHTS = {LLAMA: "s3://weights/llama"}


@dataclass(frozen=True)
class Case:
    name: str
    host: str
    said: Mapping[str, Any]
    want: tuple[str, ...] | None


CASES = [
    Case("a profile reaches all of its destinations", "bedrock", {}, PROFILE),
    Case("from whichever region it is called", "bedrock", {"region": "us-west-2"}, PROFILE),
    Case("also where the stack repeats its id", "bedrock", {"models": {LLAMA: "us.meta.llama3-3"}}, PROFILE),
    Case("and behind a URL of the stack's own", "bedrock", {"url": "https://vpce.example.com"}, PROFILE),
    Case("a plain model id stays in the region", "bedrock", {"models": {LLAMA: "meta.llama3-3-v1:0"}}, ("us-east-1",)),
    Case(
        "the region is the host's before the stack's",
        "bedrock",
        {"region": "us-west-2", "models": {LLAMA: "meta.llama3-3-v1:0"}},
        ("us-west-2",),
    ),
    Case("an application profile reaches nobody knows where", "bedrock", {"models": {LLAMA: ARN}}, None),
    Case("so does a profile that is not known", "bedrock", {"models": {LLAMA: "eu.meta.llama3-3"}}, None),
    Case(
        "unless the stack states it",
        "bedrock",
        {"models": {LLAMA: {"id": ARN, "reaches": ["us-west-2", "us-east-1"]}}},
        ("us-east-1", "us-west-2"),
    ),
    Case("regions of a host hold for its models", "bedrock", {"regions": ["us-east-1"]}, ("us-east-1",)),
    Case(
        "and what the stack says of the model goes before them",
        "bedrock",
        {"regions": ["us-east-1"], "models": {LLAMA: {"reaches": ["eu"]}}},
        ("eu",),
    ),
    Case("vLLM reaches its own region", "vllm", {"region": "eu-west-1", "modelWeights": WEIGHTS}, ("eu-west-1",)),
    Case("or the stack's, which provisions it", "vllm", {"modelWeights": WEIGHTS}, ("us-east-1",)),
    Case(
        "but behind a URL it may be anywhere", "vllm", {"modelWeights": WEIGHTS, "url": "https://gpu.example.com"}, None
    ),
    Case("Azure reaches the whole world", "azure", {}, ("global",)),
    Case("and a deployment of one's own nobody knows what", "azure", {"models": {LLAMA: "mine"}}, None),
    Case("a hosted API reaches what the catalog says", "groq", {}, ("us",)),
    Case("with another id too", "groq", {"models": {LLAMA: "mine"}}, ("us",)),
    Case("but not behind another URL", "groq", {"url": "https://groq.example.com/v1"}, None),
    Case("what the catalog does not say is unknown", "deepinfra", {}, None),
    Case("a host of one's own reaches what the stack says", "lab", {}, ("eu-west-1",)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_where_a_request_may_be_processed(case: Case) -> None:
    said = HOSTS["lab"] if case.host == "lab" else case.said
    (target,) = build({LLAMA: {"shares": {case.host: 100}}}, {case.host: said}).models[0].targets
    assert target.reaches == case.want


def test_vllm_without_a_url_or_any_region_reaches_nobody_knows_where() -> None:
    (target,) = build({LLAMA: {"shares": {"vllm": 100}}}, region=None).models[0].targets
    assert target.reaches is None
