"""What a check says of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing a check found.

    `name` is what a stack writes under `corral:accept`: `<check>/<model>/<host>`, for instance
    `parity/llama-3.3-70b/lab`; of a tenant `tenant/<tenant>/<what>`.
    """

    level: Literal["error", "warning", "note"]
    name: str
    message: str
    way_out: str
    accepted: bool = False

    def __str__(self) -> str:
        return f"{self.level} {self.name}: {self.message}; {self.way_out}"
