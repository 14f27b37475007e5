from __future__ import annotations

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import fallback
from tests.plan.world import LLAMA, build


def test_a_fallback_has_no_share() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 60, "meta": 40}, "fallback": ["lab", "meta", "bedrock"]}})
    assert tuple(fallback(plan)) == tuple(
        Finding(
            "error",
            f"fallback/{LLAMA}/{host}",
            f"{host} is a fallback of {LLAMA} and has a share of {share}",
            f"take it out of corral:models.{LLAMA}.fallback: what another sharing host fails, it gets anyway",
        )
        for host, share in (("bedrock", 60), ("meta", 40))
    )


def test_a_drained_host_may_be_a_fallback() -> None:
    assert tuple(fallback(build({LLAMA: {"shares": {"bedrock": 100, "lab": 0}, "fallback": ["lab"]}}))) == ()
