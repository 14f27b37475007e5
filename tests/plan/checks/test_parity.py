from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.parity import parity
from tests.plan.world import HOSTS, LLAMA, TODAY, build

FULL = {
    "context": 100_000,
    "output": 8_000,
    "streaming": True,
    "tools": True,
    "toolsWhileStreaming": True,
    "vision": True,
}


@dataclass(frozen=True)
class Case:
    """What is said where `full` shares the model, `other` stands in, and `more` is what `other` can do."""

    name: str
    more: dict[str, Any]
    lacks: str | None


CASES = [
    Case("the same", FULL, None),
    Case("more", {**FULL, "context": 200_000, "output": 9_000}, None),
    Case("nothing known", {}, None),
    Case("the same limit in other words", {**FULL, "context": 95_000}, None),
    Case("less context", {**FULL, "context": 94_999}, "context 94,999 (full: 100,000)"),
    Case("less output", {**FULL, "output": 4_000}, "output 4,000 (full: 8,000)"),
    Case("no vision", {**FULL, "vision": False}, "no vision (full: yes)"),
    Case("no tools while streaming", {**FULL, "toolsWhileStreaming": False}, "no tools while streaming (full: yes)"),
    Case(
        "no tools, and none while streaming",
        {**FULL, "tools": False, "toolsWhileStreaming": False},
        "no tools (full: yes)",
    ),
    Case(
        "no streaming, and no tools then",
        {**FULL, "streaming": False, "toolsWhileStreaming": False},
        "no streaming (full: yes)",
    ),
    Case(
        "all of it at once",
        {"context": 8_192, "output": 1, "streaming": False, "tools": False, "vision": False},
        "context 8,192 (full: 100,000); output 1 (full: 8,000); no streaming (full: yes); no tools (full: yes); "
        "no vision (full: yes)",
    ),
]


def own(said: dict[str, Any]) -> dict[str, Any]:
    return {**HOSTS["lab"], "models": {LLAMA: {"id": "llama", **said}}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fallback_does_what_the_hosts_do_that_it_stands_in_for(case: Case) -> None:
    plan = build(
        {LLAMA: {"shares": {"full": 100}, "fallback": ["other"]}}, {"full": own(FULL), "other": own(case.more)}
    )
    want = Finding(
        "warning",
        f"parity/{LLAMA}/other",
        f"other offers less for {LLAMA} than hosts that share it: {case.lacks}",
        "let another host stand in, or accept it if no request needs more",
    )
    assert tuple(parity(plan, TODAY)) == ((want,) if case.lacks else ())


def test_a_sharing_host_is_measured_against_the_others() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 50, "azure": 30, "vllm": 20}}})
    assert tuple(parity(plan, TODAY)) == (
        Finding(
            "warning",
            f"parity/{LLAMA}/azure",
            f"azure offers less for {LLAMA} than hosts that share it: no tools (bedrock and vllm: yes)",
            "leave its share to another host, or accept it if no request needs more",
        ),
    )


def test_what_only_fallbacks_and_drained_hosts_do_is_asked_of_nobody() -> None:
    plan = build(
        {LLAMA: {"shares": {"other": 100, "drained": 0}, "fallback": ["full"]}},
        {"full": own(FULL), "drained": own(FULL), "other": own({**FULL, "vision": False, "context": 1})},
    )
    assert tuple(parity(plan, TODAY)) == ()


def test_what_is_retired_is_no_measure_and_is_not_measured() -> None:
    gone = {"lifecycle": {"retired": "2026-11-20"}}
    plan = build(
        {LLAMA: {"shares": {"gone": 50, "other": 50}, "fallback": ["gone-too"]}},
        {"gone": own({**FULL, **gone}), "gone-too": own({"context": 1, **gone}), "other": own({"context": 2})},
    )
    assert tuple(parity(plan, TODAY)) == ()
