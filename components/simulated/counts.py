"""Counts of what the simulated hosts answered, for comparing with the gateway's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from components.simulated.state import Count


@dataclass
class Exchange:
    """One request and what became of it, filled in while it is answered."""

    host: str
    model: str | None = None
    status: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0


class Counts:
    """Sums of exchanges by host, model id and status."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._sums: dict[tuple[str, str | None, int], list[int]] = {}

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
