"""In which regions a host may process a request, and which hosts a residency therefore allows.

Policy.  What the stack states holds: `reaches` of the model at the host, else `regions` of the host.  Without that:

- Bedrock processes a request in every destination of the cross-region profile that is called (the catalog knows them),
  and a plain model id of Meta's in the called region.  Any other id (an application profile's ARN, a profile the
  catalog has not heard of) reaches regions that only AWS knows: unknown.
- vLLM processes it where its GPUs stand.
- Any other host processes it where the catalog says of the model, else of the host.  Behind a URL of the stack's own
  that is unknown.

Unknown is None, never empty: a residency is proved over what is known, and an empty list would prove everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from corral.catalog.catalog import Catalog, HostEntry, ModelEntry
from corral.config.hosts import BedrockHost, Host, ModelAtHost, VllmHost
from corral.plan.plan import Target

ANYWHERE = "global"
"""What the catalog calls the reach of a host that may process a request anywhere; no residency allows it."""

_IN_REGION = re.compile(r"meta\.[a-z0-9][a-z0-9.:-]*")
"""A foundation model's id; a profile's has its place in front (`us.meta.…`), an ARN is no id."""

_REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+")


def are_regions(names: Sequence[str]) -> bool:
    """Whether these are regions of AWS, and no places that stand for some."""
    return bool(names) and all(map(_REGION.fullmatch, names))


def reaches(
    host: Host, entry: HostEntry, model: ModelAtHost, known: ModelEntry | None, model_id: str, called: str | None
) -> tuple[str, ...] | None:
    """The regions in order of name, or None: unknown.

    `known` is the catalog's entry of this very id, `called` the region that is called.
    """
    regions = model.reaches or host.regions or _unstated(host, entry, known, model_id, called)
    return tuple(sorted(set(regions))) if regions else None


def _unstated(
    host: Host, entry: HostEntry, known: ModelEntry | None, model_id: str, called: str | None
) -> list[str] | None:
    here = [called] if called else None
    listed = known.reaches if known else None
    match host:
        case BedrockHost():
            return listed or (here if _IN_REGION.fullmatch(model_id) else None)
        case VllmHost():
            return here
        case _ if host.url:
            return None
        case _:
            return listed or entry.regions


def allowed(residency: Sequence[str], catalog: Catalog) -> frozenset[str]:
    """The known regions that a residency allows: those in its places, and those it names itself."""
    return frozenset(region for region, place in catalog.places.items() if place in residency or region in residency)


def stays_within(target: Target, regions: frozenset[str] | None) -> bool:
    """Whether all in which the target may process a request are among these regions (None: any will do).

    Where nobody knows, they are not: what cannot be proved does not hold.
    """
    return regions is None or (bool(target.reaches) and regions.issuperset(target.reaches))
