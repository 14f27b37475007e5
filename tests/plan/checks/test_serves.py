from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from tests.plan.checks.test_hosts import found_by
from tests.plan.world import LLAMA, SCOUT, build

INSTEAD = "azure, bedrock, deepinfra or vllm"


def error(name: str, message: str, way_out: str) -> Finding:
    return Finding("error", name, message, way_out)


@dataclass(frozen=True)
class Case:
    name: str
    given: dict[str, Any]
    want: tuple[Finding, ...]


CASES = [
    Case("everybody serves it", {LLAMA: {"shares": {"bedrock": 100}, "fallback": ["azure"]}}, ()),
    Case(
        "a host does not have the model, and others have",
        {SCOUT: {"shares": {"bedrock": 60, "azure": 40}}},
        (
            error(
                f"serves/{SCOUT}/azure",
                f"azure does not serve {SCOUT}: the catalog has no such model there",
                f"fill in corral:hosts.azure.models.{SCOUT}, or name bedrock instead",
            ),
        ),
    ),
    Case(
        "a fallback counts as well",
        {SCOUT: {"shares": {"bedrock": 100}, "fallback": ["vllm"]}},
        (
            error(
                f"serves/{SCOUT}/vllm",
                f"vllm does not serve {SCOUT}: the stack gives it no weights of the model",
                f"fill in corral:hosts.vllm.modelWeights.{SCOUT}, or name bedrock instead",
            ),
        ),
    ),
    Case(
        "a drained host counts as well: it could not keep its place",
        {LLAMA: {"shares": {"bedrock": 100, "meta": 0}}},
        (
            error(
                f"placeholder/{LLAMA}/meta",
                f"meta cannot serve {LLAMA} as it stands: Meta serves no Llama itself",
                f"fill in corral:hosts.meta.url and corral:hosts.meta.models.{LLAMA} once it does, "
                f"or name {INSTEAD} instead",
            ),
        ),
    ),
    Case(
        "nobody serves a model that is a placeholder itself",
        {"llama-5": {"shares": {"bedrock": 100}}},
        (
            error(
                "placeholder/llama-5/bedrock",
                "bedrock cannot serve llama-5 as it stands: no Llama 5 is known of",
                "fill in corral:hosts.bedrock.models.llama-5 once it does",
            ),
            error(
                "serves/llama-5",
                "no host that corral:models.llama-5 names serves it",
                "name a host of your own that serves it: the catalog knows of none",
            ),
        ),
    ),
    Case(
        "nobody serves a model that everybody has retired",
        {SCOUT: {"shares": {"groq": 100}}},
        (
            error(
                f"serves/{SCOUT}",
                f"no host that corral:models.{SCOUT} names serves it",
                "name bedrock, where the catalog has it",
            ),
        ),
    ),
    Case("somebody serves it who is a fallback only", {SCOUT: {"shares": {"groq": 100}, "fallback": ["bedrock"]}}, ()),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_host_that_is_named_serves_the_model(case: Case) -> None:
    assert found_by(build(case.given), "serves", "placeholder") == case.want


def test_a_vllm_that_runs_already_is_to_be_named_the_model_and_is_not_the_way_out_of_itself() -> None:
    hosts = {"vllm": {"url": "https://vllm.example.com/v1"}, "own": {"kind": "vllm", "gpus": None}}
    findings = found_by(build({LLAMA: {"shares": {"vllm": 50, "own": 50}}}, hosts), "serves")
    assert findings[:2] == (
        error(
            f"serves/{LLAMA}/own",
            f"own does not serve {LLAMA}: the stack gives it no weights of the model",
            f"fill in corral:hosts.own.modelWeights.{LLAMA}, or name azure, bedrock or deepinfra instead",
        ),
        error(
            f"serves/{LLAMA}/vllm",
            f"vllm does not serve {LLAMA}: corral:hosts.vllm.models.{LLAMA} does not say what it is called there",
            f"fill in corral:hosts.vllm.models.{LLAMA}: <the name it is served by>, or name azure, bedrock or "
            "deepinfra instead",
        ),
    )
