"""A host that is drained and still there."""

from __future__ import annotations

from collections.abc import Iterator

from components.checks.findings import Finding
from components.plan.plan import Plan


def drained(plan: Plan) -> Iterator[Finding]:
    """Notes: a host that keeps its place and gets no traffic."""
    for model in plan.models:
        for target in model.targets:
            if not target.live:
                yield Finding(
                    "note",
                    f"drained/{model.name}/{target.host}",
                    f"{target.host} is drained for {model.name}: no request reaches it, not even when other hosts fail",
                    f"give it a share, or take it out of corral:models.{model.name}.shares",
                )
