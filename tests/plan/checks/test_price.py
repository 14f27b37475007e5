from __future__ import annotations

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import price
from tests.plan.world import LLAMA, SCOUT, TODAY, build


def test_an_unknown_price_of_a_live_host_is_a_warning_and_of_ones_own_gpus_a_note() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 50, "vllm": 50}, "fallback": ["groq", "lab"]}})
    assert tuple(price(plan, TODAY)) == (
        Finding(
            "note",
            f"price/{LLAMA}/vllm",
            f"the price of {LLAMA} at vllm is unknown: its GPUs cost by the hour, not by the token",
            f"give it in dollars per million tokens: corral:hosts.vllm.models.{LLAMA}.price",
        ),
        Finding(
            "warning",
            f"price/{LLAMA}/groq",
            f"the price of {LLAMA} at groq is unknown",
            f"give it in dollars per million tokens: corral:hosts.groq.models.{LLAMA}.price",
        ),
    )


def test_nobody_asks_for_the_price_of_a_drained_host_or_of_a_retired_model() -> None:
    plan = build(
        {
            LLAMA: {"shares": {"bedrock": 100, "groq": 0}},
            SCOUT: {"shares": {"bedrock": 100}, "fallback": ["groq"]},
        }
    )
    assert tuple(price(plan, TODAY)) == ()
