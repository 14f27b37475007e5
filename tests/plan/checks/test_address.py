from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import address
from tests.plan.world import LLAMA, SCOUT, build

PLACES = "us-east-1, us-east-2 or us-west-2"

NO_REGION = Finding(
    "error",
    "region/bedrock",
    "bedrock has no region to call",
    "set corral:hosts.bedrock.region, or aws:region for the whole stack",
)


@dataclass(frozen=True)
class Case:
    name: str
    hosts: dict[str, Any]
    models: dict[str, Any]
    want: tuple[Finding, ...]
    more: dict[str, Any] = field(default_factory=dict[str, Any])


def only(*hosts: str) -> dict[str, Any]:
    return {LLAMA: {"shares": {hosts[0]: 100}, "fallback": list(hosts[1:])}}


CASES = [
    Case("a URL, one that provisioning will give, or a region", {}, only("bedrock", "azure", "vllm", "lab"), ()),
    Case(
        "a host of one's own without a URL is named once for all its models",
        {"lab": {"kind": "openai", "models": {LLAMA: "a", SCOUT: "b"}}},
        {LLAMA: {"shares": {"lab": 100}}, SCOUT: {"shares": {"lab": 100}}},
        (
            Finding(
                "error",
                "url/lab",
                "lab has no URL, and nothing that is provisioned will give it one",
                "set corral:hosts.lab.url",
            ),
        ),
    ),
    Case(
        "so is a placeholder that has got an id and no URL",
        {"meta": {"models": {LLAMA: "a"}}},
        only("bedrock", "meta"),
        (
            Finding(
                "error",
                "url/meta",
                "meta has no URL, and nothing that is provisioned will give it one",
                "set corral:hosts.meta.url",
            ),
        ),
    ),
    Case("Bedrock without a region", {}, only("bedrock"), (NO_REGION,), {"region": None}),
    Case(
        "a URL is not enough for Bedrock",
        {"bedrock": {"url": "https://vpce.example.com"}},
        only("bedrock"),
        (NO_REGION,),
        {"region": None},
    ),
    Case(
        "Bedrock in a region that does not have the profile, for each model",
        {"bedrock": {"region": "eu-west-1"}},
        {LLAMA: {"shares": {"bedrock": 100}}, SCOUT: {"shares": {"bedrock": 100}}},
        (
            Finding(
                "error",
                f"region/{LLAMA}/bedrock",
                f"bedrock is called in eu-west-1, but us.meta.llama3-3 only in {PLACES}",
                f"set corral:hosts.bedrock.region to {PLACES}, or give an id that eu-west-1 has: "
                f"corral:hosts.bedrock.models.{LLAMA}",
            ),
            Finding(
                "error",
                f"region/{SCOUT}/bedrock",
                f"bedrock is called in eu-west-1, but us.meta.llama4-scout only in {PLACES}",
                f"set corral:hosts.bedrock.region to {PLACES}, or give an id that eu-west-1 has: "
                f"corral:hosts.bedrock.models.{SCOUT}",
            ),
        ),
    ),
    Case(
        "an id of one's own may be called from anywhere",
        {"bedrock": {"region": "eu-west-1", "models": {LLAMA: "eu.meta.llama3-3"}}},
        only("bedrock"),
        (),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_host_can_be_called(case: Case) -> None:
    assert tuple(address(build(case.models, case.hosts, **case.more))) == case.want
