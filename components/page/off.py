"""Whether an observed share is off the declared one by more than chance explains."""

from __future__ import annotations

from math import sqrt

_LEAST = 30
"""Fewer requests say nothing."""
_DEVIATIONS = 4
_POINTS = 1.0
"""A difference of less than this is none, however many requests there are."""


def points_off(declared: int, answered: int, requests: int) -> float | None:
    """How many points a host's observed share lies above (or below, negative) its declared one; None: as declared.

    Hosts are drawn at random by weight, so that the share of `requests` requests is off by chance: by less than four
    standard deviations in all but one of 15,000 looks.
    """
    if requests < _LEAST:
        return None
    part = declared / 100
    off = 100 * answered / requests - declared
    chance = 100 * sqrt(part * (1 - part) / requests)
    return off if abs(off) > _DEVIATIONS * chance + _POINTS else None
