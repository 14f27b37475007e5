"""A model that its host has retired or is about to, and one that its host does not serve to everybody.

The catalog gives the last day on which a host serves a model; the host is refused from the day after.  A drained host
is not looked at: no request reaches it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from components.checks.findings import Finding
from components.config.names import listed
from components.plan.plan import ModelPlan, Plan, Target

NOTICE = 90
"""Days before its last one in which a retirement is said."""


def retired(target: Target, today: date) -> bool:
    """Whether the last day on which the host serves the model is over."""
    return target.lifecycle.on is not None and target.lifecycle.on < today


def lifecycle(plan: Plan, today: date) -> Iterator[Finding]:
    """Errors: retired.  Warnings: retired within 90 days, restricted."""
    for model in plan.models:
        for target in model.targets:
            if target.live and target.lifecycle.on:
                yield from _retirement(model, target, target.lifecycle.on, today)
            elif target.live and target.lifecycle.state == "restricted":
                yield Finding(
                    "warning",
                    f"restricted/{model.name}/{target.host}",
                    f"{target.host} restricts {model.name}: {target.lifecycle.why}",
                    f"accept it if you are served, or give the traffic to {_others(model, target)}",
                )


def _retirement(model: ModelPlan, target: Target, last: date, today: date) -> Iterator[Finding]:
    name = f"lifecycle/{model.name}/{target.host}"
    days = (last - today).days
    if days < 0:
        yield Finding(
            "error",
            name,
            f"{target.host} has retired {model.name}: its last day was {last}",
            f"give the traffic to {_others(model, target)}; or if it serves you still, say so: "
            f"corral:hosts.{target.host}.models.{model.name}.lifecycle: available",
        )
    elif days <= NOTICE:
        left = {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
        yield Finding(
            "warning",
            name,
            f"{target.host} retires {model.name} {left}: its last day is {last}",
            f"give the traffic to {_others(model, target)} before it is over",
        )


def _others(model: ModelPlan, target: Target) -> str:
    """Where the traffic could go: hosts that the stack names already, else the catalog's, else any."""
    named = tuple(other.host for other in model.targets if other.host != target.host and other.lifecycle.on is None)
    others = named or tuple(host for host in model.served_by if host != target.kind)
    return listed(others) if others else "another host"
