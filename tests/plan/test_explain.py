from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from corral.plan.checks.run import check
from corral.plan.explain import explain
from tests.plan.world import HOSTS, LLAMA, TODAY, build

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Case:
    golden: str
    model: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def text(self) -> str:
        plan = build({LLAMA: self.model, "llama-5": {"shares": {"meta": 100}}}, **self.more)
        return explain(plan.models[0], plan, check(plan, TODAY))


CASES = [
    Case(
        "a_model_on_several_hosts.txt",
        {
            "shares": {"bedrock": 50, "azure": 30, "vllm": 20, "groq": 0},
            "fallback": ["deepinfra", "lab"],
            "volume": "900M",
        },
        {
            "accept": [f"parity/{LLAMA}/lab"],
            "hosts": {"lab": {**HOSTS["lab"], "limits": {"concurrent": 9}, "overflow": "wait 2s"}},
        },
    ),
    Case(
        "a_residency_that_holds.txt",
        {"shares": {"bedrock": 100}, "fallback": ["vllm"], "residency": ["us"], "volume": "900M"},
        {"engine": {"kind": "kubernetes", "connectTimeout": "500ms", "bodyLimit": "512Ki"}},
    ),
    Case(
        "a_residency_that_does_not_hold.txt",
        {"shares": {"deepinfra": 70, "lab": 30}, "residency": ["us"], "volume": "900M"},
    ),
    Case("a_large_share.txt", {"shares": {"bedrock": 90, "azure": 10}}, {"engine": {"kind": "kubernetes"}}),
    Case("one_host_and_no_other.txt", {"shares": {"bedrock": 100}}),
    Case(
        "nobody.txt",
        {"shares": {"meta": 100}, "fallback": ["meta-too"], "residency": ["us"], "volume": "900M"},
        {"hosts": {"meta-too": {"kind": "meta"}}},
    ),
    Case(
        "tenants.txt",
        {"shares": {"bedrock": 60, "vllm": 40}, "fallback": ["lab"], "affinity": {"header": "x-session-id"}},
        {
            "tenants": {
                "desk": {"models": ["llama-5"], "tokensPerMinute": 1},
                "lab": {"models": ["llama-5"]},
                "rival": {"residency": ["eu"], "requestsPerMinute": 6_000},
                "search": {
                    "keys": [f"sha256:{'1' * 64}"],
                    "residency": ["us-east-1", "eu"],
                    "priority": "high",
                    "requestsPerMinute": 600,
                    "tokensPerMinute": "200k",
                    "concurrentRequests": 20,
                    "bodyLimit": "1Mi",
                    "perModel": {LLAMA: {"tokensPerMinute": "20k"}},
                },
                "support": {},
            }
        },
    ),
    Case(
        "hosts_that_cannot_be_called.txt",
        {"shares": {"bedrock": 50, "lab": 50}, "volume": "900M"},
        {"region": None, "hosts": {"lab": {"kind": "openai", "auth": "none", "models": {LLAMA: "Llama-Lab"}}}},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.golden)
def test_a_plan_is_explained_in_words(case: Case) -> None:
    assert f"{case.text()}\n" == (GOLDEN / case.golden).read_text(encoding="utf-8")


def test_how_many_may_be_under_way_is_said_where_they_are_counted() -> None:
    def said(engine: str) -> str:
        plan = build({LLAMA: {"shares": {"bedrock": 100}}}, engine={"kind": engine, "concurrentRequests": 500})
        return " ".join(explain(plan.models[0], plan, ()).split())

    counted = "500 requests may be under way at once, 400 of them of tenants of normal priority; one more gets 503."
    assert counted in said("local")
    assert "under way" not in said("kubernetes")
