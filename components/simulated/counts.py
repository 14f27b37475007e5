"""Counts of what the simulated hosts answered, for comparing with the gateway's, and the latest requests one by one."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import islice

from components.simulated.state import Answered, Count, Latest

_LATEST = 20_000
"""Finished requests that are kept one by one."""


@dataclass
class Exchange:
    """One request and what became of it, filled in while it is answered."""

    host: str
    begun: float = field(default_factory=time.monotonic)
    model: str | None = None
    status: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0


class Counts:
    """Sums of exchanges by host, model id and status."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._sums: dict[tuple[str, str | None, int], list[int]] = {}
        self._finished = 0
        self._latest: deque[Answered] = deque(maxlen=_LATEST)

    def begin(self, host: str) -> Exchange:
        """A request has arrived."""
        self._open[host] += 1
        return Exchange(host)

    def end(self, exchange: Exchange) -> None:
        """It is finished, whichever way."""
        self._open[exchange.host] -= 1
        sums = self._sums.setdefault((exchange.host, exchange.model, exchange.status), [0, 0, 0])
        sums[0] += 1
        sums[1] += exchange.prompt_tokens
        sums[2] += exchange.answer_tokens
        self._finished += 1
        self._latest.append((exchange.begun, exchange.host, exchange.model, exchange.status))

    def open(self) -> dict[str, int]:
        """Per host the requests that have not ended."""
        return dict(sorted((+self._open).items()))

    def rows(self) -> tuple[Count, ...]:
        """All sums, in order of host, model id (None first) and status."""
        return tuple(
            Count(host=host, model=model, status=status, requests=requests, prompt_tokens=prompt, answer_tokens=answer)
            for (host, model, status), (requests, prompt, answer) in sorted(
                self._sums.items(), key=lambda item: (item[0][0], item[0][1] or "", item[0][2])
            )
        )

    def latest(self, after: int) -> Latest:
        """The requests that finished after the first `after`, in the order in which they finished."""
        new = min(self._finished - after, len(self._latest))
        return Latest(finished=self._finished, requests=tuple(islice(self._latest, len(self._latest) - new, None)))
