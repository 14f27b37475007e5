"""The simulated hosts of one process: who they are now, how fast, with which faults, and what they have answered.

Policy.  A host has at most one fault for all its models and one for each model; a model's own comes first.  A new fault
replaces the one in its place.  A fault with a time limit ends by itself.  Replacing the hosts keeps the speed and the
faults that were set at run time on a host that stays, and forgets them for one that goes.  A request that has begun is
finished by the host it began with.

`State` and `Latest` are what `GET /_control` and `/_control/latest` answer; neither holds a key.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Literal

from pydantic import Field

from corral.catalog.units import Exact
from corral.simulated.hosts import SimulatedHost, Speed

FaultKind = Literal[
    "401", "404", "429", "500", "503", "hang", "reset", "reset-mid-stream", "slow-first-byte", "bad-json"
]
"""`401` the key was revoked; `404` the model is gone, from the model list too; `429` with `Retry-After`; `500`; `503`;
`hang` accepts and never answers; `reset` resets the connection before the first byte; `reset-mid-stream` resets it
half way through the answer; `slow-first-byte` answers late; `bad-json` answers 200 with JSON that ends too early."""


class Fault(Exact):
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


class ActiveFault(Exact):
    """A fault that has not ended."""

    kind: FaultKind
    model: str | None
    """None: all of the host's models."""
    seconds_left: float | None
    """None: until it is cleared."""


class HostState(Exact):
    """A host as it is now."""

    prefix: str
    """The path of its base URL."""
    models: tuple[str, ...]
    speed: Speed
    faults: tuple[ActiveFault, ...]


class Count(Exact):
    """The finished requests of one host, model id and status."""

    host: str
    model: str | None
    """None: the request named no model that the host serves; `GET /models` among them."""
    status: int
    """0: no status line was sent (`hang`, `reset`, or the client left before).  A reset mid-stream has its 200."""
    requests: int
    prompt_tokens: int
    """Those of answered requests."""
    answer_tokens: int
    """As far as they were sent."""


Answered = tuple[float, str, str | None, int]
"""A finished request: when it arrived (seconds of the monotonic clock, which all processes of a machine share), its
host, and its model id and status as in `Count`."""


class Latest(Exact):
    """The latest finished requests, one by one."""

    finished: int
    """How many have finished since the start of the process: what to ask for next."""
    requests: tuple[Answered, ...]
    """In the order in which they finished."""


class State(Exact):
    """All of it."""

    hosts: dict[str, HostState]
    open: dict[str, int]
    """Per host the requests that are not finished, of removed hosts too; hosts without any are left out."""
    counts: tuple[Count, ...]
    """In order of host, model id and status, from the start of the process; a removed host's counts stay."""


_LATEST = 20_000
"""Finished requests that are kept one by one."""


@dataclass
class Exchange:
    """One request and what became of it, filled in while it is answered."""

    host: str
    begun: float = field(default_factory=time.monotonic)
    model: str | None = None
    status: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0


class Counts:
    """Sums of exchanges by host, model id and status."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._sums: dict[tuple[str, str | None, int], list[int]] = {}
        self._finished = 0
        self._latest: deque[Answered] = deque(maxlen=_LATEST)

    def begin(self, host: str) -> Exchange:
        """A request has arrived."""
        self._open[host] += 1
        return Exchange(host)

    def end(self, exchange: Exchange) -> None:
        """It is finished, whichever way."""
        self._open[exchange.host] -= 1
        sums = self._sums.setdefault((exchange.host, exchange.model, exchange.status), [0, 0, 0])
        sums[0] += 1
        sums[1] += exchange.prompt_tokens
        sums[2] += exchange.answer_tokens
        self._finished += 1
        self._latest.append((exchange.begun, exchange.host, exchange.model, exchange.status))

    def open(self) -> dict[str, int]:
        """Per host the requests that have not ended."""
        return dict(sorted((+self._open).items()))

    def rows(self) -> tuple[Count, ...]:
        """All sums, in order of host, model id (None first) and status."""
        return tuple(
            Count(host=host, model=model, status=status, requests=requests, prompt_tokens=prompt, answer_tokens=answer)
            for (host, model, status), (requests, prompt, answer) in sorted(
                self._sums.items(), key=lambda item: (item[0][0], item[0][1] or "", item[0][2])
            )
        )

    def latest(self, after: int) -> Latest:
        """The requests that finished after the first `after`, in the order in which they finished."""
        new = min(self._finished - after, len(self._latest))
        return Latest(finished=self._finished, requests=tuple(islice(self._latest, len(self._latest) - new, None)))


class Simulation:
    """Everything the control endpoints change and the wire reads."""

    def __init__(self, hosts: Iterable[SimulatedHost], faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.counts = Counts()
        self._speeds: dict[str, Speed] = {}
        self.hosts: dict[str, SimulatedHost] = {}
        self.replace(hosts)

    def replace(self, hosts: Iterable[SimulatedHost]) -> None:
        """These hosts, instead of the present ones."""
        self.hosts = {host.name: host for host in hosts}
        self.faults.keep(self.hosts)
        self._speeds = {name: speed for name, speed in self._speeds.items() if name in self.hosts}

    def set_speed(self, host: str, speed: Speed) -> None:
        """Overrides the speed of the host's description."""
        self._speeds[host] = speed

    def speed(self, host: SimulatedHost) -> Speed:
        """The speed it has now."""
        return self._speeds.get(host.name, host.speed)

    def state(self) -> State:
        """All of it, without the keys."""
        return State(
            hosts={name: self._host_state(host) for name, host in sorted(self.hosts.items())},
            open=self.counts.open(),
            counts=self.counts.rows(),
        )

    def _host_state(self, host: SimulatedHost) -> HostState:
        return HostState(
            prefix=host.prefix,
            models=tuple(sorted(host.models)),
            speed=self.speed(host),
            faults=tuple(
                ActiveFault(kind=fault.kind, model=fault.model, seconds_left=left)
                for fault, left in self.faults.active(host.name)
            ),
        )
