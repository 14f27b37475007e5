"""Every host that a stack names for a model serves it, and somebody does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from components.checks.findings import Finding
from components.checks.lifecycle import retired
from components.config.names import listed
from components.plan.plan import ModelPlan, Plan, Unserved


def serves(plan: Plan, today: date) -> Iterator[Finding]:
    """Errors: a host that does not serve the model, a placeholder that is not filled in, a model that nobody serves."""
    for model in plan.models:
        for absent in model.unserved:
            yield _absent(model, absent)
        if not any(target.live and not retired(target, today) for target in model.targets):
            yield Finding(
                "error",
                f"serves/{model.name}",
                f"no host that corral:models.{model.name} names serves it",
                f"name {listed(model.served_by)}, where the catalog has it"
                if model.served_by
                else "name a host of your own that serves it: the catalog knows of none",
            )


def _absent(model: ModelPlan, absent: Unserved) -> Finding:
    keys = listed(absent.keys, "and")
    instead = f", or name {listed(model.served_by)} instead" if model.served_by else ""
    if absent.placeholder:
        return Finding(
            "error",
            f"placeholder/{model.name}/{absent.host}",
            f"{absent.host} cannot serve {model.name} as it stands: {absent.why}",
            f"fill in {keys} once it does{instead}",
        )
    return Finding(
        "error",
        f"serves/{model.name}/{absent.host}",
        f"{absent.host} does not serve {model.name}: {absent.why}",
        f"fill in {keys}{instead}",
    )
