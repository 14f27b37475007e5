from __future__ import annotations

from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import verified
from tests.plan.world import LLAMA, TODAY, build


def test_an_entry_that_rests_on_others_is_a_warning() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100}, "fallback": ["deepinfra"]}})
    assert tuple(verified(plan, TODAY)) == (
        Finding(
            "warning",
            f"verified/{LLAMA}/deepinfra",
            f"that deepinfra serves {LLAMA} as Llama-3.3-Turbo is not verified: "
            "the catalog has it from the host's page (2026-08-20)",
            "ask the host with `corral verify --stack prod`, then accept it",
        ),
    )


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"bedrock": 100, "deepinfra": 0}, {}),
        ({"deepinfra": 100}, {"models": {LLAMA: "mine"}}),
        ({"deepinfra": 100}, {"models": {LLAMA: {"lifecycle": {"retired": "2026-11-20"}}}}),
    ],
    ids=["drained", "the stack's own word", "retired"],
)
def test_nobody_doubts_what_no_request_reaches_or_the_stack_says(shares: dict[str, int], said: dict[str, Any]) -> None:
    assert tuple(verified(build({LLAMA: {"shares": shares}}, {"deepinfra": said}), TODAY)) == ()
