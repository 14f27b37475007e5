"""What the tokens cost: the hosts' prices, since when they are charged, and money added up.

Policy.  A request costs what its host charged when it began, as far as the engine knew then.  Neither the log nor
Envoy's counters can say that, because the gateway knows no prices; the engine therefore writes a tariff down whenever a
plan comes into force whose prices, or whose simulated hosts, are not those of the one before.  A price that was unknown
then stays unknown, unless one asks for today's prices instead.  Money is added up in millionths of a micro-dollar (a
price is micro-dollars per million tokens), whole numbers all the way, and rounded once, when it is shown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from corral.local.envoy.statistics import CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from corral.local.errors import EngineError
from corral.local.state_folder import StateFolder
from corral.local.statistics.readings import Series
from corral.plan.plan import Plan, Price

MICRO_DOLLAR = 10**6
DOLLAR = 10**12
"""Both in millionths of a micro-dollar."""


class UsageError(EngineError):
    """The log or its prices cannot be read.  The message says what is wrong and the way out."""


def cost(price: Price | None, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int | None:
    """Millionths of a micro-dollar; None: the price is unknown.  The cached tokens are among those of the prompt."""
    if price is None:
        return None
    cached = price.input if price.cached_input is None else price.cached_input
    return input_tokens * price.input + output_tokens * price.output - cached_tokens * (price.input - cached)


_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Tariff:
    """The prices from one moment on."""

    since: AwareDatetime
    prices: Mapping[str, Mapping[str, Price]]
    """By model and host; a host whose price is unknown is left out."""
    simulated: frozenset[str] = frozenset()
    """The hosts that were simulated: nobody charged for them."""

    def price(self, model: str | None, host: str | None) -> Price | None:
        """None: unknown."""
        return self.prices.get(model or "", {}).get(host or "")


_TARIFF = TypeAdapter(Tariff)


def tariff(plan: Plan, simulated: frozenset[str] = frozenset(), since: datetime = _EVER) -> Tariff:
    """A plan's prices."""
    prices = {
        model.name: {target.host: target.price for target in model.targets if target.price is not None}
        for model in plan.models
    }
    return Tariff(since, {model: hosts for model, hosts in prices.items() if hosts}, simulated)


class Tariffs:
    """All of them, each in force until the next."""

    def __init__(self, tariffs: Sequence[Tariff]) -> None:
        self._tariffs = sorted(tariffs, key=lambda each: each.since)
        self._moments = [each.since for each in self._tariffs]

    def at(self, moment: datetime) -> Tariff | None:
        """The one in force at that moment; None: none was written down by then."""
        index = bisect_right(self._moments, moment)
        return self._tariffs[index - 1] if index else None


def read_tariffs(folder: StateFolder) -> list[Tariff]:
    """What the engine has written down, the oldest first; none where there is no such file.  Raises UsageError."""
    try:
        lines = folder.prices.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    tariffs: list[Tariff] = []
    for number, line in enumerate(lines, 1):
        try:
            tariffs.append(_TARIFF.validate_json(line))
        except ValidationError:
            raise UsageError(f"{folder.prices}:{number} is not a list of prices: remove the line") from None
    return tariffs


def with_tariff(written: Sequence[Tariff], new: Tariff) -> str | None:
    """The text of the file with one more tariff; None: nothing has changed since the last one."""
    if written and replace(written[-1], since=new.since) == new:
        return None
    return "".join(_TARIFF.dump_json(each).decode() + "\n" for each in (*written, new))


Payer = tuple[str, str, str]
"""Tenant, model and host."""


class Spending:
    """The money spent by one run: each token at the price that was in force when it was counted."""

    def __init__(self) -> None:
        self.cost: Counter[Payer] = Counter()
        """In millionths of a micro-dollar, of the tokens that have a price."""
        self.unpriced: Counter[Payer] = Counter()
        """Tokens that have none."""
        self._before: Counter[Series] = Counter()

    def charge(self, counters: Counter[Series], tariff: Tariff) -> None:
        """Adds what was counted since the last time."""
        for series, number in counters.items():
            if series.counter not in (INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS):
                continue
            payer = (series.tenant, series.model, series.host)
            more = number - self._before[series]
            spent = cost(
                tariff.price(series.model, series.host),
                input_tokens=more if series.counter == INPUT_TOKENS else 0,
                output_tokens=more if series.counter == OUTPUT_TOKENS else 0,
                cached_tokens=more if series.counter == CACHED_TOKENS else 0,
            )
            self.unpriced[payer] += more if spent is None and series.counter != CACHED_TOKENS else 0
            if spent is not None:
                self.cost[payer] += spent
        self._before = counters
