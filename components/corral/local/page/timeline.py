"""The last minutes, for a viewer who comes later: what each model's hosts answered, what was declared, and marks.

Marks are shares that moved, hosts ejected and back again, faults, an engine that does not answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

from corral.local.page.feed import State
from corral.local.page.state import Snapshot
from corral.plan.diff import shares_moved

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


class Marks:
    """The latest marks, each with a number of its own and the time (milliseconds since 1970)."""

    def __init__(self) -> None:
        self._latest: deque[tuple[str, State]] = deque(maxlen=_MARKS)
        self._number = 0

    def add(self, time: int, kind: Kind, text: str, *, model: str = "", host: str = "") -> None:
        """Without a model it is about all of them."""
        self._number += 1
        about = {name: value for name, value in (("model", model), ("host", host)) if value}
        self._latest.append((str(self._number), {"at": time, "kind": kind, "text": text, **about}))

    def compare(self, before: Snapshot, now: Snapshot) -> set[str]:
        """Marks what is different; the models whose shares moved."""
        moves = shares_moved(before.plan, now.plan) if now.plan != before.plan else []
        moved = dict(line.split(": ", 1) for line in moves)
        for model, text in moved.items():
            self.add(now.time, "move", text, model=model)
        former, ejected = before.readings.ejected(before.plan), now.readings.ejected(now.plan)
        for model, host in sorted(ejected - former):
            self.add(now.time, "ejected", f"{host} is left out", model=model, host=host)
        for model, host in sorted(former - ejected):
            self.add(now.time, "returned", f"{host} is back", model=model, host=host)
        for host, kind in sorted(now.faults.items() - before.faults.items()):
            self.add(now.time, "fault", f"{host} is made to fail: {kind}", host=host)
        for host in sorted(before.faults.keys() - now.faults.keys()):
            self.add(now.time, "recovered", f"{host} is well again", host=host)
        return {*moved}

    def state(self) -> State:
        """By number."""
        return dict(self._latest)
