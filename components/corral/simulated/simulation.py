"""What the simulated hosts say of themselves (`GET /_control`).  It holds no key.

Counts of what the simulated hosts answered, for comparing with the gateway's, and the latest requests one by one.

The simulated hosts of one process: who they are now, how fast, with which faults, and what they have answered.

Policy.  Replacing the hosts keeps the speed and the faults that were set at run time on a host that stays, and
forgets them for one that goes.  A request that has begun is finished by the host it began with.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from corral.simulated.faults import FaultKind, Faults
from corral.simulated.hosts import Described, SimulatedHost, Speed


class ActiveFault(Described):
    """A fault that has not ended."""

    kind: FaultKind
    model: str | None
    """None: all of the host's models."""
    seconds_left: float | None
    """None: until it is cleared."""


class HostState(Described):
    """A host as it is now."""

    prefix: str
    """The path of its base URL."""
    models: tuple[str, ...]
    speed: Speed
    faults: tuple[ActiveFault, ...]


class Count(Described):
    """The finished requests of one host, model id and status."""

    host: str
    model: str | None
    """None: the request named no model that the host serves; `GET /models` among them."""
    status: int
    """0: no status line was sent (`hang`, `reset`, or the client left before).  A reset mid-stream has its 200."""
    requests: int
    prompt_tokens: int
    """Of answered requests."""
    answer_tokens: int
    """As far as they were sent."""


Answered = tuple[float, str, str | None, int]
"""A finished request: when it arrived (seconds of the monotonic clock, which all processes of a machine share), its
host, and its model id and status as in `Count`."""


class Latest(Described):
    """The latest finished requests, one by one."""

    finished: int
    """How many have finished since the start of the process: what to ask for next."""
    requests: tuple[Answered, ...]
    """In the order in which they finished."""


class State(Described):
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
