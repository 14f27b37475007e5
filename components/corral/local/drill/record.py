"""The record of a drill, written while it runs.  Times are seconds since its start."""

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
    """The host that answered."""
    attempts: int | None
    outcome: Outcome
    why: str = ""
    """The reason of a loss."""

    @property
    def began(self) -> float:
        """When its answer began, as far as the client could tell."""
        return self.ended if self.first is None else self.first


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
    """The result of an edit of shares."""

    saved: float
    in_force: float | None
    """When the engine said that the edit is in force; None: it never did."""


@dataclass(frozen=True)
class Refused:
    """The result of saving a file that must be refused."""

    title: str
    message: str | None
    """The engine's; None: it said nothing."""
    unchanged: bool
    """Whether the plan in force is still the one before."""


@dataclass(frozen=True)
class Failed:
    """The result of a failure of hosts."""

    begun: float
    ejected: Mapping[tuple[str, str], float]
    """Per model and host when the host was first seen to be left out."""
    healed: float
    whole: float | None
    """When nobody was left out any more; None: that was not awaited to its end."""


@dataclass(frozen=True)
class Exhausted:
    """The result of exceeding a limit."""

    answered: int
    refused: int
    """Requests that got 429."""
    with_retry_after: int
    """As many of these had the header."""
    otherwise: Mapping[str, int]
    """Other ends, by what they were."""


Result = Moved | Refused | Failed | Exhausted | None


@dataclass(frozen=True)
class Span:
    """A step as it was carried out."""

    step: Step
    began: float
    ended: float
    result: Result


@dataclass
class Record:
    """The record, filled in while the drill runs, and good to read at any time."""

    plan: Plan
    """As the stack declares it."""
    rehearsed: Plan
    """As the copy has it: shorter times, and tenants of the drill's own."""
    script: Script
    requests: list[Request] = field(default_factory=list[Request])
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    spans: list[Span] = field(default_factory=list[Span])
    """The steps that have ended, in order."""
    notices: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """The engine's messages to the person at the terminal."""
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
    def steps(self) -> list[Step]:
        return [step for step in self.script if not isinstance(step, Skipped)]

    def reasons(self) -> Counter[str]:
        """The reasons of losses."""
        return Counter(request.why for request in self.requests if request.outcome == "lost")
