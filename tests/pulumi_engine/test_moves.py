from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from corral.catalog.load import load_catalog
from corral.cli.main import main
from corral.config.read import read_stack
from corral.gateway.names import object_name
from corral.monitoring import observed
from corral.plan.build import build
from corral.plan.plan import ModelPlan
from corral.plan.ramps import Observed, ObservedHost
from corral.testing import World
from corral.testing.changes import Change, changes
from corral.testing.stacks import read_version, run_program
from tests.pulumi_engine.history import Event, History, name_in
from tests.pulumi_engine.project import Project
from tests.pulumi_engine.stacks import SHARED, SWAPS, Swap, Swapped, move_share

pytestmark = pytest.mark.engine

LLAMA = "llama-3.3-70b"


@pytest.mark.parametrize(("stack", "model"), SHARED)
def test_a_share_edit_updates_the_route_of_the_model_and_nothing_else(
    stack: str, model: str, project: Callable[[str], Project]
) -> None:
    there = project(stack)
    others = len(there.managed()) - 1

    there.edit(move_share(model))
    promised = there.preview()
    outcome = there.up()

    assert promised.changes == outcome.changes == {"same": others, "update": 1}
    events = outcome.history.events
    assert [(event.verb, event.step, event.kind, event.name.rpartition("/")[0]) for event in events] == [
        ("update", "begun", "AIGatewayRoute", f"gateway-route/{model}"),
        ("update", "done", "AIGatewayRoute", f"gateway-route/{model}"),
    ]
    assert _weights(there, model) == _planned_weights(there, model)


def test_each_step_of_a_ramp_is_an_update_of_the_route_and_a_bad_host_is_taken_back(
    project: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = project("kind")

    def ramps(config: dict[str, object]) -> None:
        config["corral:ramps"] = {LLAMA: {"to": {"deepinfra": 20}, "every": "40ms", "guard": {"errors": "5%"}}}

    there.edit(ramps)
    before = there.history()

    def observe(url: str, model: ModelPlan, seconds: int) -> Observed:
        """Well until it has its step behind it."""
        assert (url, seconds) == ("http://prometheus", 60)
        failed = 100 if model.shares["deepinfra"] == 20 else 0
        host = ObservedHost(1_000, failed, ejected=False, first_byte_p95=None, input_tokens=0, output_tokens=0)
        return Observed(10_000, 0, {"deepinfra": host})

    monkeypatch.setattr(observed, "observe", observe)
    for name, value in there.environment.items():
        monkeypatch.setenv(name, value)
    command = ["corral", "ramp", "--stack", "kind", "--prometheus", "http://prometheus"]
    monkeypatch.setattr("sys.argv", command)
    monkeypatch.chdir(there.folder)
    with pytest.raises(SystemExit) as ended:
        main()

    said = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines() if "holds" not in line]
    why = "100 of 1,000 attempts at deepinfra failed, more than 5%"
    assert said == [
        f"{LLAMA}: on to {{deepinfra: 20, vllm: 80}}",
        f"{LLAMA}: back to {{deepinfra: 10, vllm: 90}}, and paused: {why}",
        f"{LLAMA}: it is paused: {why}, at {{deepinfra: 20, vllm: 80}}",
    ]
    assert ended.value.code == 1
    events = there.history().since(before).events
    assert [(event.verb, event.kind, event.name.rpartition("/")[0]) for event in events if event.step == "done"] == [
        ("update", "AIGatewayRoute", f"gateway-route/{LLAMA}")
    ] * 2


@pytest.mark.parametrize("swap", SWAPS, ids=str)
def test_a_new_host_is_there_before_the_route_names_it_and_the_old_one_goes_after(
    swap: Swap, swapped: Callable[[Swap], Swapped]
) -> None:
    done = swapped(swap)
    history = done.outcome.history

    assert history.last("create", "done", _is_no_route) < history.first("create", "begun", _is_route)
    assert history.last("create", "done", _is_route) < history.first("update", "begun", _is_patch)
    assert history.last("update", "done", _is_patch) < history.first("delete", "begun", _any)
    assert history.last("delete", "done", _is_route) < history.first("delete", "begun", _is_backend)
    assert swap.provisioned in history.done("create")
    assert _weights(done.project, swap.model) == _planned_weights(done.project, swap.model)


@pytest.mark.parametrize("swap", SWAPS, ids=str)
def test_the_engine_does_what_is_foretold_without_one(swap: Swap, swapped: Callable[[Swap], Swapped]) -> None:
    done = swapped(swap)

    foretold = changes(_recorded(done.before), _recorded(done.project))

    before, after = _names(done.before), _names(done.project)
    assert _identities(foretold.create) == after - before
    assert _identities(foretold.delete) == before - after
    assert _identities(foretold.update) - _waits(foretold.update) == _updated(done.outcome.history)
    assert foretold.replace == ()


@pytest.mark.parametrize("swap", SWAPS, ids=str)
def test_a_tenants_key_is_kept_while_hosts_come_and_go(swap: Swap, swapped: Callable[[Swap], Swapped]) -> None:
    done = swapped(swap)

    assert done.project.outputs()["keys"].value == done.before.outputs()["keys"].value


def _any(_event: Event) -> bool:
    return True


def _is_route(event: Event) -> bool:
    return event.kind == "AIGatewayRoute"


def _is_no_route(event: Event) -> bool:
    return not _is_route(event)


def _is_patch(event: Event) -> bool:
    return event.kind == "EnvoyPatchPolicy"


def _is_backend(event: Event) -> bool:
    return event.kind == "AIServiceBackend"


def _weights(project: Project, model: str) -> dict[str, int]:
    """Per AIServiceBackend its weight in the route that is there."""
    (route,) = (
        thing.inputs
        for thing in project.things()
        if thing.kind == "AIGatewayRoute" and thing.inputs["metadata"]["annotations"]["corral/model"] == model
    )
    return {to["name"]: to["weight"] for rule in route["spec"]["rules"] for to in rule["backendRefs"]}


def _planned_weights(project: Project, model: str) -> dict[str, int]:
    catalog = load_catalog()
    (plan,) = (each for each in build(read_stack(project.file, catalog), catalog).models if each.name == model)
    return {object_name(to.host, model): to.weight for to in plan.targets}


def _recorded(project: Project) -> World:
    return run_program(read_version(project.file))


def _names(project: Project) -> set[tuple[str, str]]:
    """Type and logical name of all that the program has made."""
    return {(each["type"], name_in(each["urn"])) for each in project.managed()}


def _updated(history: History) -> set[tuple[str, str]]:
    return {(event.type, event.name) for event in history.events if (event.verb, event.step) == ("update", "done")}


def _waits(foretold: tuple[Change, ...]) -> set[tuple[str, Any]]:
    """Those that the engine carries out without a provider of ours."""
    return {identity for identity in _identities(foretold) if "pulumi-python:dynamic" in identity[0]}


def _identities(foretold: tuple[Change, ...]) -> set[tuple[str, Any]]:
    return {(change.type, change.name) for change in foretold}
