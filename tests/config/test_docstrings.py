"""The text under each attribute, as the schema shows it."""

from __future__ import annotations

from corral.catalog.units import Strict
from corral.config.schema import docstrings


class Above(Strict):
    """Of the class, not of an attribute."""

    first: int
    """In the class above."""
    second: int
    """Told anew in the class below."""


class Below(Above):
    silent: int
    second: int
    """On two lines,
    of which the second is indented."""
    third: int

    """After an empty line."""


def test_each_attribute_has_the_text_below_it_its_own_or_an_inherited_one():
    assert docstrings(Below) == {
        "first": "In the class above.",
        "second": "On two lines,\nof which the second is indented.",
        "third": "After an empty line.",
    }
