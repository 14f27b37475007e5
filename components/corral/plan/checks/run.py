"""All checks of a plan, at once, and what comes of them: a stack that was checked, or that is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from pathlib import Path

from corral.config.stack import Engine
from corral.plan.checks.cluster import cluster
from corral.plan.checks.findings import Finding, accepted
from corral.plan.checks.hosts import hosts, prices
from corral.plan.checks.peaks import peaks
from corral.plan.checks.ramps import ramps
from corral.plan.checks.requests import parity, residency, translation
from corral.plan.checks.tenants import capacity, enforcement, listener, tenants
from corral.plan.plan import Plan

_ORDER = ("error", "warning", "note")


def check(plan: Plan, today: date) -> tuple[Finding, ...]:
    """Everything there is to say of the plan on that day: errors first, then warnings, then notes, each in order of
    name.

    A plan with an error is refused.
    """
    findings = (
        *hosts(plan, today),
        *prices(plan, today),
        *residency(plan),
        *parity(plan, today),
        *translation(plan),
        *tenants(plan),
        *listener(plan),
        *enforcement(plan),
        *capacity(plan),
        *peaks(plan),
        *ramps(plan),
        *cluster(plan),
    )
    in_order = sorted(accepted(findings, plan.accept), key=attrgetter("name"))
    return tuple(finding for level in _ORDER for finding in in_order if finding.level == level)


class RefusedError(Exception):
    """A stack whose plan has errors; the message holds all of them, one a line."""


@dataclass(frozen=True)
class CheckedStack:
    """A stack file that was read, planned and checked."""

    file: Path
    settings: Engine
    plan: Plan
    findings: tuple[Finding, ...]

    def without_errors(self) -> CheckedStack:
        """The same.  Raises RefusedError where the plan has errors."""
        errors = [f"{self.file}: {finding}" for finding in self.findings if finding.level == "error"]
        if errors:
            raise RefusedError("\n".join(errors))
        return self
