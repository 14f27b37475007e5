"""All checks of a plan, at once."""

from __future__ import annotations

from datetime import date

from components.checks.acceptance import accepted
from components.checks.address import address
from components.checks.drained import drained
from components.checks.enforcement import enforcement
from components.checks.fallback import fallback
from components.checks.findings import Finding
from components.checks.fit import fit
from components.checks.guardrail import guardrail
from components.checks.lifecycle import lifecycle
from components.checks.parity import parity
from components.checks.price import price
from components.checks.residency import residency
from components.checks.room import room
from components.checks.scaling import scaling
from components.checks.serves import serves
from components.checks.tenants import tenants
from components.checks.verified import verified
from components.plan.plan import Plan

_ORDER = ("error", "warning", "note")


def check(plan: Plan, today: date) -> tuple[Finding, ...]:
    """Everything there is to say of the plan on that day: errors first, then warnings, then notes, each in order of
    name.

    A plan with an error is refused.
    """
    found = (
        *serves(plan, today),
        *lifecycle(plan, today),
        *fallback(plan),
        *address(plan),
        *fit(plan),
        *scaling(plan),
        *residency(plan),
        *verified(plan, today),
        *parity(plan, today),
        *price(plan, today),
        *drained(plan),
        *guardrail(plan),
        *tenants(plan),
        *room(plan),
        *enforcement(plan),
    )
    said = accepted(found, plan.accept)
    return tuple(sorted(said, key=lambda finding: (_ORDER.index(finding.level), finding.name)))
