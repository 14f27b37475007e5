from __future__ import annotations

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import drained
from tests.plan.world import LLAMA, build


def test_a_drained_host_is_noted_unless_it_is_a_fallback() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100, "azure": 0, "lab": 0}, "fallback": ["lab"]}})
    assert tuple(drained(plan)) == (
        Finding(
            "note",
            f"drained/{LLAMA}/azure",
            f"azure is drained for {LLAMA}: no request reaches it, not even when other hosts fail",
            f"give it a share, or take it out of corral:models.{LLAMA}.shares",
        ),
    )
