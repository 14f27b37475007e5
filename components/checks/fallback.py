"""A fallback is a host that has not been tried yet."""

from __future__ import annotations

from collections.abc import Iterator

from components.checks.findings import Finding
from components.plan.plan import Plan


def fallback(plan: Plan) -> Iterator[Finding]:
    """Errors: a fallback that has a share."""
    for model in plan.models:
        shares = {each.host: each.share for each in (*model.targets, *model.unserved)}
        for host in model.repeated:
            yield Finding(
                "error",
                f"fallback/{model.name}/{host}",
                f"{host} is a fallback of {model.name} and has a share of {shares[host]}",
                f"take it out of corral:models.{model.name}.fallback: what another sharing host fails, it gets anyway",
            )
