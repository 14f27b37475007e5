"""What a plan costs is known only where every price is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from components.checks.findings import Finding
from components.checks.lifecycle import retired
from components.plan.plan import Plan


def price(plan: Plan, today: date) -> Iterator[Finding]:
    """Warnings: a live target whose price is unknown.  Notes: one on GPUs of one's own, which cost by the hour."""
    for model in plan.models:
        for target in model.targets:
            if not target.live or target.price or retired(target, today):
                continue
            own = target.kind == "vllm"
            unknown = f"the price of {model.name} at {target.host} is unknown"
            yield Finding(
                "note" if own else "warning",
                f"price/{model.name}/{target.host}",
                f"{unknown}: its GPUs cost by the hour, not by the token" if own else unknown,
                f"give it in dollars per million tokens: corral:hosts.{target.host}.models.{model.name}.price",
            )
