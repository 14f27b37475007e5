"""Requests of the log added up: how many, how many tokens, how much money.

Policy.  What is not known is never taken for nothing: tokens whose price is unknown, and requests whose tokens the host
has not said, are counted beside the sum, which is then known in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from corral.local.statistics.cost import MICRO_DOLLAR, Tariffs, cost
from corral.local.statistics.readings import client_error, server_error
from corral.local.statistics.request_log import Request
from corral.plan.money import nearest
from corral.plan.plan import Price

Dimension = Literal["tenant", "model", "host"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

Group = tuple[str | None, ...]
"""The values of the dimensions by which requests are added up; None: it has none (nobody answered it)."""


@dataclass
class Sums:
    """What some requests came to."""

    requests: int = 0
    server_errors: int = 0
    """Requests that ended in a 5xx or in half an answer, or whose client left before the answer began."""
    client_errors: int = 0
    """Requests that ended in a 4xx."""
    input_tokens: int = 0
    output_tokens: int = 0
    estimated_tokens: int = 0
    """Of answers that were cut off: how many pieces came is all that is known of them."""
    uncounted: int = 0
    """Requests that a host served without saying how many tokens it counted."""
    unpriced_tokens: int = 0
    """Tokens whose price is unknown."""
    simulated: int = 0
    """Requests that a simulated host served: they cost nobody anything."""
    millionths: int = 0
    """What the tokens with a price cost, in millionths of a micro-dollar."""
    cached_tokens: int = 0
    """Those of prompts that hosts had kept from prompts before."""
    reasoning_tokens: int = 0
    """Those of answers that were thoughts."""
    retries: int = 0
    """Attempts after the first."""

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def micro_dollars(self) -> int | None:
        """What is known of the cost; None: nothing is."""
        if self.complete or self.unpriced_tokens < self.tokens:
            return nearest(self.millionths, MICRO_DOLLAR)
        return None

    @property
    def complete(self) -> bool:
        """Whether the cost is known in full."""
        return not self.unpriced_tokens and not self.uncounted

    def add(self, request: Request, price: Price | None, *, simulated: bool) -> None:
        """One request more."""
        prompt, answer = request.input_tokens or 0, request.output_tokens or 0
        self.requests += 1
        self.server_errors += server_error(request.code)
        self.client_errors += client_error(request.code)
        self.input_tokens += prompt
        self.cached_tokens += request.cached_tokens or 0
        self.output_tokens += answer
        self.reasoning_tokens += request.reasoning_tokens or 0
        self.uncounted += request.uncounted
        self.simulated += simulated
        self.retries += max(0, (request.attempts or 0) - 1)
        if request.estimated:
            self.estimated_tokens += answer
        spent = cost(price, prompt, answer, request.cached_tokens or 0)
        if spent is None:
            self.unpriced_tokens += prompt + answer
        else:
            self.millionths += spent

    def join(self, other: Sums) -> None:
        """All the requests of another sum more."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_NUMBERS = tuple(Sums.__dataclass_fields__)


def add_up(requests: Iterable[Request], by: Sequence[Dimension], tariffs: Tariffs) -> dict[Group, Sums]:
    """The sums of each group, in order of its values; those that have none come last."""
    sums: dict[Group, Sums] = {}
    for request in requests:
        group = tuple(getattr(request, dimension) for dimension in by)
        tariff = tariffs.at(request.time)
        into = sums.get(group)
        if into is None:
            into = sums[group] = Sums()
        price = tariff.price(request.model, request.host) if tariff else None
        into.add(request, price, simulated=bool(tariff and request.host in tariff.simulated))
    return dict(sorted(sums.items(), key=lambda item: [(value is None, value or "") for value in item[0]]))


def total(sums: Mapping[Group, Sums]) -> Sums:
    """All groups together."""
    whole = Sums()
    for each in sums.values():
        whole.join(each)
    return whole
