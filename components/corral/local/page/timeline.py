"""The last minutes, for a viewer who comes later: what each model's hosts answered, what was declared, and marks.

Marks are shares that moved, hosts ejected and back again, faults, an engine that does not answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from corral.local.page.feed import State
from corral.plan.diff import shares_moved
from corral.plan.plan import Plan

_STEP_SECONDS = 2.0
"""From one point to the next."""
_SLACK_SECONDS = 0.5
"""Snapshots do not come to the millisecond."""
_POINTS = 150
"""Five minutes."""


class History:
    """A point each two seconds of every model that was asked for anything."""

    def __init__(self) -> None:
        self._points: dict[str, deque[tuple[int, dict[str, float]]]] = {}
        self._declared: dict[str, deque[tuple[int, dict[str, int]]]] = {}
        self._next = 0.0

    def declare(self, time: int, shares: Mapping[str, dict[str, int]]) -> None:
        """The shares in force from now on, by model and host; models that are not among them are forgotten."""
        for removed in self._declared.keys() - shares.keys():
            del self._declared[removed]
            self._points.pop(removed, None)
        for model, declared in shares.items():
            former = self._declared.setdefault(model, deque(maxlen=100))
            if not former or former[-1][1] != declared:
                former.append((time, declared))

    def due(self, at: float) -> bool:
        """Whether it is time for another point."""
        if at < self._next:
            return False
        self._next = at + _STEP_SECONDS - _SLACK_SECONDS
        return True

    def add(self, time: int, answered: Mapping[str, dict[str, float]]) -> None:
        """Requests a second by model and host; models without any are left out."""
        for model, hosts in answered.items():
            points = self._points.setdefault(model, deque(maxlen=_POINTS))
            points.append((time, hosts))

    def of(self, model: str) -> dict[str, Any] | None:
        """Points and declared shares of a model, each with its time (milliseconds since 1970); None: no such model."""
        if model not in self._declared:
            return None
        return {
            "points": [[time, hosts] for time, hosts in self._points.get(model, ())],
            "declared": [[time, shares] for time, shares in self._declared[model]],
        }


Kind = Literal["move", "fault", "recovered", "ejected", "returned", "engine"]
"""`recovered`: a fault has ended; `returned`: an ejected host gets requests again; `engine`: of Envoy itself."""

_MARKS = 200


@dataclass(frozen=True)
class Mark:
    """One of them."""

    kind: Kind
    text: str
    model: str = ""
    """Empty: it is about all models."""
    host: str = ""


class Marks:
    """The latest marks, each with a number of its own and the time (milliseconds since 1970)."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int, Mark]] = deque(maxlen=_MARKS)
        self._number = 0

    def add(self, time: int, marks: Iterable[Mark]) -> None:
        for mark in marks:
            self._number += 1
            self._kept.append((self._number, time, mark))

    def state(self) -> State:
        """By number; what is empty is left out."""
        return {
            str(number): {
                "at": time,
                "kind": mark.kind,
                "text": mark.text,
                **({"model": mark.model} if mark.model else {}),
                **({"host": mark.host} if mark.host else {}),
            }
            for number, time, mark in self._kept
        }


def moves(before: Plan, after: Plan) -> list[Mark]:
    """The models whose hosts changed."""
    marks: list[Mark] = []
    for line in shares_moved(before, after):
        model, _, what = line.partition(": ")
        marks.append(Mark("move", what, model))
    return marks


def ejections(before: frozenset[tuple[str, str]], after: frozenset[tuple[str, str]]) -> list[Mark]:
    """The hosts, each of a model, that were ejected or are back."""
    return [
        *(Mark("ejected", f"{host} is left out", model, host) for model, host in sorted(after - before)),
        *(Mark("returned", f"{host} is back", model, host) for model, host in sorted(before - after)),
    ]


def faults(before: Mapping[str, str], after: Mapping[str, str]) -> list[Mark]:
    """The simulated hosts that were made to fail, or are well again; the values tell the kind of fault."""
    return [
        *(
            Mark("fault", f"{host} is made to fail: {kind}", host=host)
            for host, kind in sorted(after.items())
            if before.get(host) != kind
        ),
        *(Mark("recovered", f"{host} is well again", host=host) for host in sorted(before.keys() - after.keys())),
    ]
