"""A model runs on the GPUs that the stack gives it."""

from __future__ import annotations

from collections.abc import Iterator

from components.checks.findings import Finding
from components.plan.plan import Misfit, Plan


def fit(plan: Plan) -> Iterator[Finding]:
    """Errors: a target, drained ones included, that does not run on the nodes that would be provisioned for it."""
    for model in plan.models:
        for target in model.targets:
            if isinstance(target.fit, Misfit):
                yield Finding("error", f"fit/{model.name}/{target.host}", target.fit.why, target.fit.way_out)
