"""Residency: no request can reach a region that its model's residency does not allow.

It is proved over every live target, fallbacks included, and over every region in which such a host may process a
request.  A region that is not known is refused: what cannot be proved does not hold.  A drained host is not looked at:
no request reaches it, not even when others fail.
"""

from __future__ import annotations

from collections.abc import Iterator

from corral.config.problems import listed
from corral.plan.checks.findings import Finding
from corral.plan.plan import ModelPlan, Plan, Target
from corral.plan.residency import ANYWHERE, stays_within

_AZURE = "which sells Llama on global SKUs only"
"""Azure's list of the models it sells, 2026-07-07: Llama has GlobalStandard, no data zone and no regional SKU."""


def residency(plan: Plan) -> Iterator[Finding]:
    """Errors: a live target that may process a request outside of the allowed regions, or nobody knows where."""
    for model, target in plan.live:
        if not allows(model, target):
            where, way_out = _refusal(model, target, model.allowed_regions or frozenset())
            yield Finding(
                "error",
                f"residency/{model.name}/{target.host}",
                f"{where}; the residency of {model.name} is {listed(model.residency or (), 'and')}",
                way_out,
            )


def allows(model: ModelPlan, target: Target) -> bool:
    """Whether the model's residency allows every region in which the target may process a request."""
    return stays_within(target, model.allowed_regions)


def _refusal(model: ModelPlan, target: Target, allowed: frozenset[str]) -> tuple[str, str]:
    """Where the host may process a request, as a clause, and the way out."""
    take_out = f"take it out of corral:models.{model.name}.{'fallback' if target.priority else 'shares'}"
    reaches = target.reaches or ()
    if target.kind == "azure" and (ANYWHERE in reaches or not reaches):
        return f"{target.host} may process a request in any region of Azure, {_AZURE}", take_out
    if ANYWHERE in reaches:
        return f"{target.host} may process a request anywhere", take_out
    if not reaches:
        key = f"corral:hosts.{target.host}.models.{model.name}.reaches"
        way_out = f"{take_out}, or state the regions if you know them: {key}"
        return f"it is not known where {target.host} processes a request", way_out
    outside = listed([region for region in reaches if region not in allowed], "and")
    return f"{target.host} may process a request in {outside}", f"{take_out}, or allow {outside} in the residency"
