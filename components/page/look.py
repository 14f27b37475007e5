"""What is seen of a running engine at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from components.embedded.readings import Key, Timed
from components.plan.plan import Plan


@dataclass(frozen=True)
class Look:
    """One look.  Models are called here as the plan calls them, but in counters as Envoy's statistics do."""

    at: float
    """Seconds of a clock that only grows."""
    time: int
    """Milliseconds since 1970."""
    plan: Plan
    """What is in force."""
    counters: Counter[Key]
    times: Counter[Timed] | None
    """Histograms, in milliseconds; None: they were not read this time."""
    out: frozenset[tuple[str, str]]
    """Who is left out for failing: pairs of a model's cluster and a host."""
    faults: Mapping[str, str]
    """Per simulated host that was made to fail the kind of fault."""
    simulated: Mapping[str, str | None]
    """Per host why it is simulated; None: it is the real one."""
    under_way: Mapping[str, int]
    """Requests under way of the tenants that have a limit on them; who has not called yet may be missing."""
