"""The last minutes of each model, for a viewer who comes later: what its hosts answered, and what was declared."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

STEP = 2.0
"""Seconds from one point to the next."""
MINUTES = 5
_SLACK = 0.5
"""Looks do not come to the millisecond."""


class History:
    """A point each `STEP` seconds of every model that was asked for anything."""

    def __init__(self) -> None:
        self._points: dict[str, deque[tuple[int, dict[str, float]]]] = {}
        self._declared: dict[str, deque[tuple[int, dict[str, int]]]] = {}
        self._next = 0.0

    def declare(self, time: int, shares: Mapping[str, dict[str, int]]) -> None:
        """The shares in force from now on, by model and host; models that are not among them are forgotten."""
        for gone in self._declared.keys() - shares.keys():
            del self._declared[gone]
            self._points.pop(gone, None)
        for model, declared in shares.items():
            known = self._declared.setdefault(model, deque(maxlen=100))
            if not known or known[-1][1] != declared:
                known.append((time, declared))

    def due(self, at: float) -> bool:
        """Whether it is time for another point."""
        if at < self._next:
            return False
        self._next = at + STEP - _SLACK
        return True

    def add(self, time: int, answered: Mapping[str, dict[str, float]]) -> None:
        """Requests a second by model and host; models without any are left out."""
        for model, hosts in answered.items():
            points = self._points.setdefault(model, deque(maxlen=int(MINUTES * 60 / STEP)))
            points.append((time, hosts))

    def of(self, model: str) -> dict[str, Any] | None:
        """Points and declared shares of a model, each with its time (milliseconds since 1970); None: no such model."""
        if model not in self._declared:
            return None
        return {
            "points": [[time, hosts] for time, hosts in self._points.get(model, ())],
            "declared": [[time, shares] for time, shares in self._declared[model]],
        }
