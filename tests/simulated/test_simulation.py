from __future__ import annotations

from corral.simulated.faults import Fault
from corral.simulated.hosts import SimulatedHost, SimulatedModel, Speed
from corral.simulated.simulation import ActiveFault, HostState, Simulation, State


def host(name: str, *models: str, latency: int = 0) -> SimulatedHost:
    return SimulatedHost(
        name=name,
        path="/v1",
        header=None,
        key=None,
        models={model: SimulatedModel() for model in models},
        speed=Speed(latency=latency),
    )


def test_a_host_that_stays_keeps_its_fault_and_speed_and_one_that_goes_loses_them():
    simulation = Simulation([host("stays", "a"), host("goes", "a")])
    for name in ("stays", "goes"):
        simulation.faults.set(name, Fault(kind="503"))
        simulation.set_speed(name, Speed(latency=5))

    simulation.replace([host("stays", "b")])
    simulation.replace([host("stays", "b"), host("goes", "a", latency=1)])

    assert simulation.state() == State(
        hosts={
            "goes": HostState(prefix="/goes/v1", models=("a",), speed=Speed(latency=1), faults=()),
            "stays": HostState(
                prefix="/stays/v1",
                models=("b",),
                speed=Speed(latency=5),
                faults=(ActiveFault(kind="503", model=None, seconds_left=None),),
            ),
        },
        open={},
        counts=(),
    )
