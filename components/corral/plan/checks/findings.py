"""What a check finds in a plan, and which findings a stack accepts by name (`corral:accept`).

A warning or a note that was read can be accepted: it stays in the list and is marked.  An error cannot: the plan is
refused until it is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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

    def __str__(self) -> str:
        return f"{self.level} {self.name}: {self.message}; {self.way_out}"


def accepted(findings: Sequence[Finding], names: Sequence[str]) -> Iterator[Finding]:
    """The findings, marked where they are accepted, and a note for each name that accepts nothing."""
    for finding in findings:
        yield replace(finding, accepted=True) if finding.level != "error" and finding.name in names else finding
    levels = {finding.name: finding.level for finding in findings}
    for name in names:
        if name not in levels:
            near = nearest(name, [known for known, level in levels.items() if level != "error" and known not in names])
            yield Finding(
                "note",
                f"accept/{named(name)}",
                f"corral:accept names {named(name)}, and there is no such finding",
                f"did you mean {near}?" if near else "take it out",
            )
        elif levels[name] == "error":
            yield Finding(
                "note",
                f"accept/{named(name)}",
                f"corral:accept names {named(name)}, which is an error and cannot be accepted",
                "take it out, and mend what the error says",
            )
