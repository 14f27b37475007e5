"""What a probe says of a host: refused, allowed or unknown.

Only refused stops anything; unknown is always told, with why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.plan.plan import Target

Outcome = Literal["refused", "allowed", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """What became of one model id at one host."""

    model: str
    """The name clients ask for."""
    host: str
    model_id: str
    outcome: Outcome
    why: str
    """In words, the way out included; never holds a credential."""


@dataclass(frozen=True)
class Question:
    """Does this target's host serve this target's model id?"""

    model: str
    target: Target

    def answered(self, outcome: Outcome, why: str) -> Verdict:
        """The verdict on it."""
        return Verdict(self.model, self.target.host, self.target.model_id, outcome, why)


class HostError(Exception):
    """What a probe found holds for everything it was to ask of the host: `refused` or `unknown`, with why."""

    def __init__(self, outcome: Literal["refused", "unknown"], why: str) -> None:
        super().__init__(why)
        self.outcome: Literal["refused", "unknown"] = outcome
        self.why = why
