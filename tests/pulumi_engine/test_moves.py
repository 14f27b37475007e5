from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.gateway.names import object_name
from corral.plan.build import build
from corral.testing import World
from corral.testing.changes import Change, changes
from corral.testing.stacks import read_version, run_program
from tests.pulumi_engine.history import Event, History, name_in
from tests.pulumi_engine.project import Project
from tests.pulumi_engine.stacks import SHARED, SWAPS, Swap, Swapped, move_share

pytestmark = pytest.mark.engine


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
