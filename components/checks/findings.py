"""What a check says of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing a check found.

    `name` is what a stack writes under `corral:accept`: `<check>/<model>/<host>`, for instance `parity/llama-3.3-70b/lab`.
    """

    level: Literal["error", "warning", "note"]
    name: str
    message: str
    way_out: str
    accepted: bool = False
