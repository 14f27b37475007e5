"""Why a stack is not deployed: said all at once, before anything is provisioned."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from components.checks.findings import Finding
from components.hosts.keys import missing_keys, said_missing
from components.plan.plan import Plan


def refusal(plan: Plan, findings: Sequence[Finding], held: Collection[str]) -> str | None:
    """Every reason, one a line, and after them whatever else was found; None: it can be deployed.

    `held` are the hosts whose keys the stack has.
    """
    if plan.engine == "embedded":
        nothing = f"stack {plan.stack} runs on one machine, where there is nothing to provision"
        return f"{nothing}: corral up --stack {plan.stack}"
    errors = [str(finding) for finding in findings if finding.level == "error"]
    reasons = [*errors, *(said_missing(host, plan.stack) for host in missing_keys(plan, held))]
    others = [str(finding) for finding in findings if finding.level != "error" and not finding.accepted]
    return "\n".join([*reasons, *others]) if reasons else None
