"""A guardrail that the engine does not put in front of its host.

Pulumi makes it, and its id is known to what Pulumi makes: the gateway of a cluster.  The embedded engine provisions
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.checks.findings import Finding
from components.plan.plan import Plan


def guardrail(plan: Plan) -> Iterator[Finding]:
    """Warnings, on the embedded engine: a live host to which the stack gives a guardrail."""
    if plan.engine != "embedded":
        return
    for model in plan.models:
        for target in model.targets:
            if target.live and target.guarded:
                yield Finding(
                    "warning",
                    f"guardrail/{model.name}/{target.host}",
                    f"the embedded engine asks {target.host} for {model.name} without a guardrail: that of "
                    f"corral:hosts.{target.host}.guardrail is made by the kubernetes engine alone",
                    "have AWS enforce one for the account (PutEnforcedGuardrailConfiguration) and take that key out, "
                    "or accept it",
                )
