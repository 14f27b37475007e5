"""A vLLM host that could have more servers, and nothing that would ask for them."""

from __future__ import annotations

from collections.abc import Iterator

from components.checks.findings import Finding
from components.plan.plan import Fit, Plan


def scaling(plan: Plan) -> Iterator[Finding]:
    """Warnings, where a cluster carries the plan out: a model with room for more servers, whose number stays as it is
    for want of a Prometheus."""
    if plan.engine != "kubernetes":
        return
    for model in plan.models:
        for target in model.targets:
            fit = target.fit
            if isinstance(fit, Fit) and not fit.scaled and fit.most > (kept := max(1, fit.least)):
                yield Finding(
                    "warning",
                    f"scaling/{model.name}/{target.host}",
                    f"{target.host} keeps {kept} server{'' if kept == 1 else 's'} of {model.name}, however many "
                    f"requests wait, and never has the {fit.most} that its nodes could hold: they are not counted",
                    "name the Prometheus that counts them, corral:cluster.prometheus, or lower "
                    f"corral:hosts.{target.host}.gpus.max to what is kept, or accept it",
                )
