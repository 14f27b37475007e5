"""What the tokens cost, as they are counted: each at the price that was in force when it was.

Money is added up in millionths of a micro-dollar, whole numbers all the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from components.usage.prices import Tariff

Where = tuple[str, str, str]
"""Tenant, model and host."""

Direction = tuple[str, str, str, str]
"""The same, and `input` or `output`."""

DOLLAR = 10**12
"""Millionths of a micro-dollar."""


class Spending:
    """The money spent by one run."""

    def __init__(self) -> None:
        self.cost: Counter[Where] = Counter()
        """In millionths of a micro-dollar, of the tokens that have a price."""
        self.unpriced: Counter[Where] = Counter()
        """Tokens that have none."""
        self._seen: Counter[Direction] = Counter()

    def look(self, tokens: Mapping[Direction, int], tariff: Tariff) -> None:
        """Adds what was counted since the last look; `tokens` are totals, which only grow."""
        for (tenant, model, host, direction), number in tokens.items():
            more = number - self._seen[tenant, model, host, direction]
            price = tariff.price(model, host)
            if price is None:
                self.unpriced[tenant, model, host] += more
            else:
                self.cost[tenant, model, host] += more * (price.input if direction == "input" else price.output)
                self.unpriced[tenant, model, host] += 0
        self._seen = Counter(tokens)
