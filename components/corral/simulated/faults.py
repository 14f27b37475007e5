"""Faults: how a simulated host is made to fail, and until when.

Policy.  A host has at most one fault for all its models and one for each model; a model's own comes first.  A new fault
replaces the one in its place.  A fault with a time limit ends by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Annotated, Literal

from pydantic import Field

from corral.simulated.hosts import Described

FaultKind = Literal[
    "401", "404", "429", "500", "503", "hang", "reset", "reset-mid-stream", "slow-first-byte", "bad-json"
]
"""`401` the key was revoked; `404` the model is gone, from the model list too; `429` with `Retry-After`; `500`; `503`;
`hang` accepts and never answers; `reset` resets the connection before the first byte; `reset-mid-stream` resets it
half way through the answer; `slow-first-byte` answers late; `bad-json` answers 200 with JSON that ends too early."""


class Fault(Described):
    """One fault."""

    kind: FaultKind
    model: str | None = None
    """Only for this model id of the host; None: for all."""
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(default=None, alias="for")
    """How long it lasts; None: until it is cleared."""
    retry_after: Annotated[int, Field(ge=0)] = 1
    """`429` only: seconds, as the answer's `Retry-After` says."""
    delay: Annotated[int, Field(ge=0)] = 10_000
    """`slow-first-byte` only: milliseconds on top of the host's latency."""


class Faults:
    """The faults of all hosts.  `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._faults: dict[str, dict[str | None, tuple[Fault, float | None]]] = {}

    def set(self, host: str, fault: Fault) -> None:
        """Puts a fault in its place."""
        end = None if fault.seconds is None else self._clock() + fault.seconds
        self._faults.setdefault(host, {})[fault.model] = (fault, end)

    def clear(self, host: str) -> None:
        """Ends all faults of a host."""
        self._faults.pop(host, None)

    def keep(self, hosts: Collection[str]) -> None:
        """Ends the faults of all other hosts."""
        self._faults = {host: faults for host, faults in self._faults.items() if host in hosts}

    def find(self, host: str, model: str | None) -> Fault | None:
        """The fault that a request for `model` meets; None as a model: only what the whole host has."""
        if host not in self._faults:
            return None
        active = {fault.model: fault for fault, _ in self.active(host)}
        return active.get(model) or active.get(None)

    def active(self, host: str) -> tuple[tuple[Fault, float | None], ...]:
        """The faults of a host that have not ended, each with the seconds left."""
        now = self._clock()
        left = {
            model: (fault, end)
            for model, (fault, end) in self._faults.get(host, {}).items()
            if end is None or end > now
        }
        self._faults[host] = left
        if not left:
            del self._faults[host]
        return tuple((fault, None if end is None else end - now) for fault, end in left.values())
