"""What a residency allows, and who keeps to it."""

from __future__ import annotations

from collections.abc import Sequence

from components.catalog.catalog import Catalog
from components.plan.plan import Target


def allowed(residency: Sequence[str], catalog: Catalog) -> frozenset[str]:
    """The known regions that a residency allows: those in its places, and those it names itself."""
    return frozenset(region for region, place in catalog.places.items() if place in residency or region in residency)


def stays_within(target: Target, regions: frozenset[str] | None) -> bool:
    """Whether all in which the target may process a request are among these regions (None: any will do).

    Where nobody knows, they are not: what cannot be proved does not hold.
    """
    return regions is None or (bool(target.reaches) and regions.issuperset(target.reaches))
