"""The simulated hosts of one process: who they are now, how fast, with which faults, and what they have answered.

Policy.  Replacing the hosts keeps the speed and the faults that were set at run time on a host that stays, and
forgets them for one that goes.  A request that has begun is finished by the host it began with.
"""

from __future__ import annotations

from collections.abc import Iterable

from components.simulated.counts import Counts
from components.simulated.faults import Faults
from components.simulated.hosts import SimulatedHost, Speed
from components.simulated.state import ActiveFault, HostState, State


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
