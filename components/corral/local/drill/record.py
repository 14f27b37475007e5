"""What a drill writes down while it runs.  Times are seconds since its start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from corral.local.drill.script import Script, Skipped, Step
from corral.plan.plan import Plan

Outcome = Literal["answered", "lost", "cut short"]
"""`cut short`: by the end of the drill."""


@dataclass(frozen=True)
class Request:
    """A request of the steady load and what became of it."""

    model: str
    streamed: bool
    sent: float
    first: float | None
    """When the first piece of a streamed answer came."""
    ended: float
    host: str | None
    """Who answered."""
    attempts: int | None
    outcome: Outcome
    why: str = ""
    """Of a request that was lost."""


@dataclass(frozen=True)
class Arrival:
    """A request as a host saw it."""

    at: float
    host: str
    model: str
    status: int
    """0: the host sent no status line."""


@dataclass(frozen=True)
class Moved:
    saved: float
    in_force: float | None
    """When the engine said that the edit is in force; None: it never did."""


@dataclass(frozen=True)
class Refused:
    """What became of a file that must be refused."""

    told: str | None
    """What the engine said of it; None: nothing."""
    unchanged: bool
    """Whether the plan in force is still the one before."""


@dataclass(frozen=True)
class Failed:
    begun: float
    left_out: Mapping[tuple[str, str], float]
    """Per model and host when the host was first seen to be left out."""
    healed: float
    whole: float | None
    """When nobody was left out any more; None: that was not awaited to its end."""


@dataclass(frozen=True)
class Exhausted:
    answered: int
    refused: int
    """With 429."""
    with_retry_after: int
    """Of the refused ones."""
    otherwise: Mapping[str, int]
    """Other ends, by what they were."""


@dataclass(frozen=True)
class Pair:
    """The same request to the host itself and through the gateway: seconds to the first piece, or to the end."""

    streamed: bool
    direct: float
    through: float


@dataclass(frozen=True)
class Compared:
    pairs: tuple[Pair, ...]


Result = Moved | Refused | Failed | Exhausted | Compared | None


@dataclass(frozen=True)
class Span:
    """A step as it was carried out."""

    step: Step
    began: float
    ended: float
    result: Result


@dataclass
class Record:
    """Everything; filled in while the drill runs, and good to read at any time."""

    plan: Plan
    """As the stack declares it."""
    rehearsed: Plan
    """As the copy has it: shorter times, and tenants of the drill's own."""
    script: Script
    requests: list[Request] = field(default_factory=list[Request])
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    spans: list[Span] = field(default_factory=list[Span])
    """Of the steps that have ended, in order."""
    said: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """What the engine told the person at the terminal."""
    seconds: float = 0
    """How long it took, or has taken so far."""
    current: Step | None = None
    """The step that is being carried out."""
    under_way: int = 0
    """Requests that have no end yet."""

    @property
    def lost(self) -> int:
        return sum(request.outcome == "lost" for request in self.requests)

    @property
    def skipped(self) -> list[Skipped]:
        return [step for step in self.script if isinstance(step, Skipped)]

    @property
    def steps(self) -> list[Step]:
        return [step for step in self.script if not isinstance(step, Skipped)]

    @property
    def ended_early(self) -> bool:
        """Whether steps of the script are missing."""
        return len(self.spans) < len(self.steps)

    def reasons(self) -> Counter[str]:
        """Why requests were lost."""
        return Counter(request.why for request in self.requests if request.outcome == "lost")
