"""Elements of SVG and HTML as text, and a scale: all that the plots need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


def element(name: str, *inside: str, **attributes: str | float) -> str:
    """An element; what is inside is markup already (`text` makes it of text).  `stroke_width` is `stroke-width`."""
    said = "".join(f' {key.strip("_").replace("_", "-")}="{_plain(value)}"' for key, value in attributes.items())
    return f"<{name}{said}>{''.join(inside)}</{name}>" if inside else f"<{name}{said}/>"


def text(said: str) -> str:
    """Text as markup."""
    return escape(said)


def _plain(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def points(places: Sequence[tuple[float, float]]) -> str:
    """For `polyline` and `polygon`."""
    return " ".join(f"{_plain(x)},{_plain(y)}" for x, y in places)


@dataclass(frozen=True)
class Scale:
    """From values to places on a line; logarithmic where asked for."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        if self.logarithmic:
            ratio = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            ratio = (value - self.low) / (self.high - self.low)
        return self.begin + min(1, max(0, ratio)) * (self.end - self.begin)


def ticks(high: float, most: int = 5) -> list[float]:
    """Round values from 0 to at least `high`, `most` steps at the most."""
    rough = max(high, 1e-9) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return [step * number for number in range(math.ceil(high / step - 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten around the two values."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]
