"""What was counted in some seconds as a pace: so much a second, so much money an hour."""

from __future__ import annotations

from components.page.tally import Tally
from components.plan.money import nearest
from components.plan.plan import Price

_MILLION, _HOUR = 1_000_000, 3600


def tenths(value: float) -> float:
    """To one decimal; more changes each second and tells nobody anything."""
    return round(value, 1)


def rate(number: int, seconds: float) -> float:
    """A second; 0 where nothing was seen yet."""
    return tenths(number / seconds) if seconds else 0


def cost(price: Price, counted: Tally, seconds: float) -> int:
    """Micro-dollars an hour; 0 where nothing was seen yet."""
    spent = counted.input * price.input + counted.output * price.output
    milliseconds = round(1000 * seconds)
    return nearest(spent * 1000 * _HOUR, _MILLION * milliseconds) if milliseconds else 0
