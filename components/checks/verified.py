"""An entry of the catalog that does not rest on the host's own word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from components.checks.findings import Finding
from components.checks.lifecycle import retired
from components.plan.plan import Plan


def verified(plan: Plan, today: date) -> Iterator[Finding]:
    """Warnings: an unverified entry of a live target."""
    for model in plan.models:
        for target in model.targets:
            if target.live and not target.verified and not retired(target, today):
                yield Finding(
                    "warning",
                    f"verified/{model.name}/{target.host}",
                    f"that {target.host} serves {model.name} as {target.model_id} is not verified: "
                    f"the catalog has it from {target.source} ({target.as_of})",
                    f"ask the host with `corral verify --stack {plan.stack}`, then accept it",
                )
