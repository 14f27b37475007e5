"""Parity: a request that one host can answer does not fail because another one got it.

Any live host can get any request: the sharing ones by weight, the fallbacks when they stand in.  Each of them is
measured against the best of the sharing hosts.  Where something is unknown, on either side, nothing is said.  Limits
within a twentieth of each other are the same limit: hosts call 128,000 and 131,072 tokens both 128k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date

from corral.config.problems import listed, number
from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import retired
from corral.plan.plan import Plan, Target
from corral.plan.targets import CAPABILITIES, lacking

_LIMITS: tuple[tuple[str, Callable[[Target], int | None]], ...] = (
    ("context", lambda target: target.context),
    ("output", lambda target: target.output),
)


def parity(plan: Plan, today: date) -> Iterator[Finding]:
    """Warnings: a live host with a smaller limit or fewer capabilities than one that shares the model."""
    for model in plan.models:
        sharing = [target for target in model.sharing if not retired(target, today)]
        for target in model.live:
            if retired(target, today):
                continue
            lacks = [*_limits(target, sharing), *_capabilities(target, sharing)]
            if lacks:
                other = "let another host stand in" if target.priority else "leave its share to another host"
                yield Finding(
                    "warning",
                    f"parity/{model.name}/{target.host}",
                    f"{target.host} offers less for {model.name} than hosts that share it: {'; '.join(lacks)}",
                    f"{other}, or accept it if no request needs more",
                )


def _limits(target: Target, sharing: Sequence[Target]) -> Iterator[str]:
    for what, limit in _LIMITS:
        if (own := limit(target)) is None:
            continue
        known = {other.host: value for other in sharing if (value := limit(other)) is not None}
        best = max(known.values(), default=0)
        if own * 20 < best * 19:
            holders = listed([host for host, value in known.items() if value == best], "and")
            yield f"{what} {number(own)} ({holders}: {number(best)})"


def _capabilities(target: Target, sharing: Sequence[Target]) -> Iterator[str]:
    lacks = lacking(target)
    for what, has in CAPABILITIES:
        holders = [other.host for other in sharing if has(other)] if what in lacks else []
        if holders:
            yield f"no {what} ({listed(holders, 'and')}: yes)"
