"""Which of a plan's hosts are real on this machine, and which are simulated.

Policy.  `never`: every host is real, and one that cannot be reached from here is an error with the way out.
`withoutKey`: a host is real if its key is in the environment (or it wants none) and its URL is known, else simulated.
`always`: every host is simulated, whatever keys there are.  A host whose wire protocol Envoy does not speak cannot be
real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from components.plan.plan import Plan, Target

Simulate = Literal["never", "withoutKey", "always"]


@dataclass(frozen=True)
class Placement:
    """One host on this machine."""

    host: str
    simulated: str | None
    """Why it is simulated; None: it is the real one."""
    key: str | None = field(repr=False, default=None)
    """The real host's key."""


@dataclass(frozen=True)
class Unreachable:
    """A host that has to be real and cannot be."""

    host: str
    message: str


def _obstacle(target: Target, environment: Mapping[str, str]) -> str | None:
    """What keeps a host from being real here."""
    if target.protocol != "openai":
        return f"{target.protocol} is not translated yet"
    if target.url is None:
        return "no url before it is provisioned"
    variable = target.credential.variable
    if target.credential.header and not (variable and environment.get(variable)):
        return f"no key in {variable}" if variable else "no variable is named for its key"
    return None


def _way_out(target: Target, obstacle: str) -> str:
    variable = target.credential.variable
    if obstacle.startswith("no key") and variable:
        return f"set {variable}, or rehearse with --simulate"
    if target.url is None and target.protocol == "openai":
        return f"give its url under corral:hosts.{target.host}, or rehearse with --simulate"
    return "rehearse with --simulate"


def place(
    plan: Plan, mode: Simulate, environment: Mapping[str, str]
) -> tuple[dict[str, Placement], tuple[Unreachable, ...]]:
    """Places every live host of a plan; `environment` holds the keys."""
    targets = {target.host: target for model in plan.models for target in model.targets if target.live}
    placements: dict[str, Placement] = {}
    unreachable: list[Unreachable] = []
    for host, target in sorted(targets.items()):
        obstacle = _obstacle(target, environment)
        if mode == "always":
            placements[host] = Placement(host, "asked for")
        elif obstacle is None:
            variable = target.credential.variable
            key = environment[variable] if target.credential.header and variable else None
            placements[host] = Placement(host, None, key)
        elif mode == "withoutKey":
            placements[host] = Placement(host, obstacle)
        else:
            unreachable.append(Unreachable(host, f"{host}: {obstacle}; {_way_out(target, obstacle)}"))
    return placements, tuple(unreachable)
