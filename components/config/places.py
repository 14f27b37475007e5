"""Places and regions that a residency names are ones the catalog knows."""

from __future__ import annotations

from typing import Any, cast

from components.catalog.catalog import Catalog
from components.config.errors import Keys, Report
from components.config.names import named, nearest


def check_places(residency: Any, keys: Keys, catalog: Catalog, report: Report) -> None:
    known = {*catalog.places, *catalog.places.values()}
    places = sorted(set(catalog.places.values()))
    for at, place in enumerate(cast("list[Any]", residency) if isinstance(residency, list) else []):
        if isinstance(place, str) and place not in known:
            near = nearest(place, known)
            meant = f"did you mean {named(near)}?" if near else f"name a place ({', '.join(places)}) or a region"
            report.add((*keys, at), f"no place or region {named(place)} is known: {meant}")
