"""What a check finds in a plan, and which findings a stack accepts by name (`corral:accept`).

A warning or a note that was read can be accepted: it stays in the list and is marked.  An error cannot: the plan is
refused until it is gone.  One alone can: that the hosts would not carry the peak is for the stack to decide, and is a
warning once it is accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from corral.config.problems import named, nearest


@dataclass(frozen=True)
class Finding:
    """One thing a check found.

    `name` is what a stack writes under `corral:accept`: `<check>/<model>/<host>`, for instance
    `parity/llama-3.3-70b/lab`; of a tenant `tenant/<tenant>/<what>`.
    """

    level: Literal["error", "warning", "note"]
    name: str
    message: str
    way_out: str
    accepted: bool = False
    a_decision: bool = field(default=False, metadata={"public": False})
    """Whether a stack may accept it though it is an error."""

    def __str__(self) -> str:
        return f"{self.level} {self.name}: {self.message}; {self.way_out}"


def accepted(findings: Sequence[Finding], names: Sequence[str]) -> Iterator[Finding]:
    """The findings, marked where they are accepted, and a note for each name that accepts nothing."""
    if not names:
        yield from findings
        return
    wanted = {*names}
    for finding in findings:
        if finding.name not in wanted or not _acceptable(finding):
            yield finding
        else:
            yield replace(finding, accepted=True, level="warning" if finding.level == "error" else finding.level)
    acceptable = {finding.name: _acceptable(finding) for finding in findings}
    for name in names:
        if name not in acceptable:
            near = nearest(name, [known for known, may in acceptable.items() if may and known not in names])
            yield Finding(
                "note",
                f"accept/{named(name)}",
                f"corral:accept names {named(name)}, and there is no such finding",
                f"did you mean {near}?" if near else "take it out",
            )
        elif not acceptable[name]:
            yield Finding(
                "note",
                f"accept/{named(name)}",
                f"corral:accept names {named(name)}, which is an error and cannot be accepted",
                "take it out, and mend what the error says",
            )


def _acceptable(finding: Finding) -> bool:
    return finding.level != "error" or finding.a_decision
