"""Times and sizes as Kubernetes and the Gateway API write them."""

from __future__ import annotations

_SPANS = (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_SIZES = (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))


def duration(milliseconds: int) -> str:
    """`120000` → `2m`, `1500` → `1s500ms` (GEP-2257: at most five digits in front of a unit)."""
    written = ""
    for unit, length in _SPANS:
        count, milliseconds = divmod(milliseconds, length)
        written += f"{count}{unit}" if count else ""
    return written or "0s"


def quantity(size: int) -> str:
    """Bytes: `52428800` → `50Mi`."""
    for unit, length in _SIZES:
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)
