from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.pulumi_engine.project import FailedError, Project
from tests.pulumi_engine.stacks import CLOUD, HOSTED, SERVED, SHARED, Swap, move_share

pytestmark = pytest.mark.engine

_FAILING = (
    (HOSTED, {"what": "create", "kind": "Secret"}),
    (HOSTED, {"what": "ready", "kind": "BackendSecurityPolicy"}),
    (SERVED, {"what": "ready", "kind": "Deployment"}),
    (CLOUD, {"what": "create", "kind": "Account"}),
    (CLOUD, {"what": "create", "kind": "Deployment"}),
)


@pytest.mark.parametrize(
    ("swap", "fault"), _FAILING, ids=lambda each: " ".join(each.values()) if isinstance(each, dict) else str(each)
)
def test_a_host_that_fails_leaves_route_and_old_host_alone_and_the_next_up_brings_it(
    swap: Swap, fault: dict[str, str], project: Callable[[str], Project]
) -> None:
    there = project(swap.stack)
    before = {thing.urn: thing for thing in there.things()}
    there.edit(swap.edit)

    there.store.set_faults([fault])
    with pytest.raises(FailedError) as failed:
        there.up()

    routes = {urn: thing for urn, thing in before.items() if thing.kind == "AIGatewayRoute"}
    now = {thing.urn: thing for thing in there.things()}
    assert {urn: now[urn] for urn in routes} == routes
    assert before.keys() <= now.keys()
    assert fault["kind"] in failed.value.text

    there.store.set_faults([])
    there.up()

    assert swap.provisioned in _names(there)
    assert not any(name.startswith(f"gateway-service/{swap.leaves}/") for _, name in _names(there))


def test_a_route_that_is_not_accepted_keeps_the_host_that_leaves(project: Callable[[str], Project]) -> None:
    swap = SERVED
    there = project(swap.stack)
    before = {thing.urn for thing in there.things()}
    there.edit(swap.edit)

    there.store.set_faults([{"what": "ready", "kind": "AIGatewayRoute"}])
    with pytest.raises(FailedError, match="AIGatewayRoute"):
        there.up()

    assert before <= {thing.urn for thing in there.things()}

    there.store.set_faults([])
    recovered = there.up().history

    updated = [(kind, name.rpartition("/")[0]) for kind, name in recovered.done("update")]
    assert ("AIGatewayRoute", f"gateway-route/{swap.model}") in updated
    assert not any(name.startswith(f"gateway-service/{swap.leaves}/") for _, name in _names(there))


def test_a_refused_route_fails_the_update_with_the_reason_until_it_is_accepted(
    project: Callable[[str], Project],
) -> None:
    stack, model = SHARED[0]
    there = project(stack)
    there.edit(move_share(model))

    for kind in ("AIGatewayRoute", "HTTPRoute"):  # the second `up` finds nothing that was edited
        there.store.set_faults([{"what": "accept", "kind": kind}])
        with pytest.raises(FailedError, match=f"the route of {model} is not accepted: .* it was told to be refused"):
            there.up()
        assert not {"create", "update", "replace", "delete"} & there.preview().changes.keys()

    there.store.set_faults([])
    assert not {"create", "update", "replace", "delete"} & there.up().changes.keys()
    assert there.preview().changes == {"same": len(there.managed())}


def test_a_refused_route_keeps_the_host_that_leaves(project: Callable[[str], Project]) -> None:
    there = project(SERVED.stack)
    before = {thing.urn for thing in there.things()}
    there.edit(SERVED.edit)

    there.store.set_faults([{"what": "accept", "kind": "AIGatewayRoute"}])
    with pytest.raises(FailedError) as failed:
        there.up()

    assert before <= {thing.urn for thing in there.things()}
    assert not failed.value.history.done("delete")
    assert "EnvoyPatchPolicy" not in {kind for kind, _ in failed.value.history.done("update")}


def _names(project: Project) -> set[tuple[str, str]]:
    """Kind and logical name of all that is there."""
    return {(thing.kind, thing.name) for thing in project.things()}
