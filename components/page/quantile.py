"""Quantiles of histograms that Envoy keeps in bins, added up over hosts and time."""

from __future__ import annotations

from collections.abc import Mapping

from components.embedded.readings import Span


def quantile(bins: Mapping[Span, int], part: float) -> float | None:
    """The value under which `part` (0 to 1) of the values lie, evenly spread within a bin; None: there are none."""
    filled = sorted((span, number) for span, number in bins.items() if number > 0)
    wanted = part * sum(number for _, number in filled)
    seen = 0
    for span, number in filled:
        if seen + number >= wanted:
            return span.lower + span.width * (wanted - seen) / number
        seen += number
    return None
