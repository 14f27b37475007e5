from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from corral.catalog.catalog import Takes
from corral.simulated.hosts import SimulatedHost, Speed
from corral.simulated.simulation import ActiveFault, Fault, Faults, HostState, Simulation, State


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fault(kind: str, **fields: Any) -> Fault:
    return Fault.model_validate({"kind": kind} | fields)


def test_a_models_own_fault_comes_before_that_of_its_host():
    faults = Faults()
    faults.set("groq", fault("503"))
    faults.set("groq", fault("429", model="a"))
    got = {model: faults.find("groq", model) for model in ("a", "b", None)}
    assert got == {"a": fault("429", model="a"), "b": fault("503"), None: fault("503")}
    assert faults.find("azure", "a") is None


def test_a_fault_of_one_model_leaves_the_others_alone():
    faults = Faults()
    faults.set("groq", fault("hang", model="a"))
    assert [faults.find("groq", model) for model in ("b", None)] == [None, None]


def test_a_fault_with_a_time_limit_ends_by_itself_and_uncovers_the_hosts_own():
    clock = Clock()
    faults = Faults(clock)
    faults.set("groq", fault("500"))
    faults.set("groq", fault("reset", model="a", **{"for": 30}))
    clock.now += 29.5
    assert faults.active("groq") == ((fault("500"), None), (fault("reset", model="a", **{"for": 30}), 0.5))
    clock.now += 0.5
    assert faults.find("groq", "a") == fault("500")
    assert faults.active("groq") == ((fault("500"), None),)


def test_a_new_fault_replaces_the_one_in_its_place():
    clock = Clock()
    faults = Faults(clock)
    faults.set("groq", fault("500", **{"for": 1}))
    faults.set("groq", fault("503"))
    clock.now += 2
    assert faults.find("groq", None) == fault("503")


def test_clearing_a_host_ends_all_its_faults_and_no_others():
    faults = Faults()
    for host in ("groq", "azure"):
        faults.set(host, fault("500"))
        faults.set(host, fault("503", model="a"))
    faults.clear("groq")
    assert [len(faults.active(host)) for host in ("groq", "azure")] == [0, 2]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "502"},
        {"kind": "hang", "for": 0},
        {"kind": "hang", "for": -1},
        {"kind": "hang", "for": "30s"},
        {"kind": "hang", "seconds": 30},
        {"kind": "429", "retry_after": -1},
        {},
    ],
)
def test_what_is_no_fault_is_refused(fields: dict[str, Any]):
    with pytest.raises(ValidationError):
        Fault.model_validate(fields)


def host(name: str, *models: str, latency: int = 0) -> SimulatedHost:
    return SimulatedHost(
        name=name,
        path="/v1",
        header=None,
        key=None,
        models={model: Takes() for model in models},
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
