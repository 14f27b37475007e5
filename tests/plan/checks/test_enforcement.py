from __future__ import annotations

from typing import Any

import pytest

from corral.plan.checks.tenants import enforcement
from tests.plan.world import LLAMA, build

REQUESTS = {"requestsPerMinute": 60}
TOKENS = {"perModel": {LLAMA: {"tokensPerMinute": "20k"}}}
MORE = {"concurrentRequests": 20, "priority": "high"}
BODY = {"bodyLimit": "1Mi"}

CASES = [
    ("local", {"search": {}, "support": MORE | BODY}, []),
    ("local", {"search": {}, "support": REQUESTS}, ["enforced/local"]),
    ("local", {"search": TOKENS, "support": TOKENS}, ["enforced/tokensPerMinute", "enforced/local"]),
    ("kubernetes", {"search": {}}, []),
    ("kubernetes", {"search": REQUESTS}, ["enforced/kubernetes"]),
    ("kubernetes", {"search": TOKENS}, ["enforced/tokensPerMinute", "enforced/kubernetes"]),
    (
        "kubernetes",
        {"search": MORE | BODY, "support": MORE | BODY},
        ["enforced/concurrentRequests", "enforced/bodyLimit", "enforced/priority"],
    ),
    ("kubernetes", {"search": {"bodyLimit": "50Mi"}}, []),
]

UNENFORCED = ("enforced/concurrentRequests", "enforced/bodyLimit", "enforced/priority")
"""Not at all, instead of not to the letter."""


@pytest.mark.parametrize(("engine", "tenants", "want"), CASES)
def test_what_an_engine_does_not_enforce_to_the_letter_is_noted_once(
    engine: str, tenants: dict[str, Any], want: list[str]
) -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100}}}, tenants=tenants, engine={"kind": engine})
    levels = {name: "warning" if name in UNENFORCED else "note" for name in want}
    assert [(finding.level, finding.name) for finding in enforcement(plan)] == [(levels[name], name) for name in want]


def test_on_a_cluster_tokens_are_all_that_callers_of_issuers_can_come_with() -> None:
    issuer = {"issuer": "https://login.example.com/", "audiences": ["corral"], "jwks": "https://login.example.com/keys"}
    plan = build(
        {LLAMA: {"shares": {"bedrock": 100}}},
        tenants={"search": {}},
        issuers=[issuer],
        engine={"kind": "kubernetes"},
    )
    assert [finding.name for finding in enforcement(plan)] == ["enforced/issuers"]


@pytest.mark.parametrize(("engine", "want"), [("local", []), ("kubernetes", ["enforced/concurrentRequests"])])
def test_a_cluster_does_not_limit_what_is_under_way_in_all_either(engine: str, want: list[str]) -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100}}}, engine={"kind": engine, "concurrentRequests": 500})
    assert [finding.name for finding in enforcement(plan)] == want


def test_a_stack_without_tenants_has_nothing_to_enforce() -> None:
    for engine in ("local", "kubernetes"):
        assert list(enforcement(build({LLAMA: {"shares": {"bedrock": 100}}}, engine={"kind": engine}))) == []
