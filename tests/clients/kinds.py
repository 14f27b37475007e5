"""Kinds of requests, as a program that a library of Python's makes them: each so many times, with what came back."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any


class Counted:
    """Counts answers by status and host; `client` is what a library sends with, of httpx or of what followed it."""

    def __init__(self, library: Any) -> None:
        self.client: Any = library.Client(timeout=60, event_hooks={"response": [self._count]})
        self.statuses: Counter[int] = Counter()
        self.hosts: Counter[str] = Counter()

    def _count(self, answer: Any) -> None:
        self.statuses[answer.status_code] += 1
        self.hosts[answer.headers.get("x-corral-host", "none")] += 1


def times() -> int:
    return int(sys.argv[3])


def make(kinds: Mapping[str, Callable[[], object]], http: Counted) -> None:
    """Makes each, and writes what came of it; what a library does not accept, it raises."""
    outcome: dict[str, object] = {}
    for kind, ask in kinds.items():
        http.statuses.clear()
        http.hosts.clear()
        accepted, failures = 0, Counter[str]()
        for _ in range(times()):
            try:
                if not ask():
                    raise ValueError("nothing was answered")
                accepted += 1
            except Exception as error:
                failures[repr(error)[:400]] += 1
        outcome[kind] = {
            "accepted": accepted,
            "failures": failures,
            "statuses": http.statuses.copy(),
            "hosts": http.hosts.copy(),
        }
    print(json.dumps(outcome))  # noqa: T201
