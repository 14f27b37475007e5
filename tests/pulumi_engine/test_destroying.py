from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.pulumi_engine.history import Event
from tests.pulumi_engine.project import FailedError, Project
from tests.pulumi_engine.stacks import STACKS

pytestmark = pytest.mark.engine

_STAGES: Mapping[str, Callable[[Event], bool]] = {
    "routes": lambda event: event.kind == "AIGatewayRoute",
    "hosts of routes": lambda event: event.kind == "AIServiceBackend",
    "backends": lambda event: event.kind == "Backend",
    "namespace": lambda event: event.name == "gateway-namespace",
    "AI gateway": lambda event: event.name == "gateway-software-ai-gateway",
    "Envoy Gateway": lambda event: event.name == "gateway-software-envoy-gateway",
    "definitions": lambda event: event.kind == "CustomResourceDefinition",
    "cluster": lambda event: event.type == "aws:eks/cluster:Cluster",
    "ways out": lambda event: event.type == "aws:ec2/natGateway:NatGateway",
    "network": lambda event: event.type == "aws:ec2/vpc:Vpc",
}
"""What goes, in this order; each all of it before any of the next."""


@pytest.mark.parametrize("stack", STACKS)
def test_destroy_goes_from_routes_to_network_and_leaves_nothing(stack: str, project: Callable[[str], Project]) -> None:
    there = project(stack)
    kept = len(there.managed())

    outcome = there.destroy()

    history = outcome.history
    stages = {name: which for name, which in _STAGES.items() if any(which(event) for event in history.events)}
    spans = {
        name: (history.first("delete", "begun", which), history.last("delete", "done", which))
        for name, which in stages.items()
    }
    assert list(spans) == sorted(spans, key=lambda name: spans[name])
    assert all(
        ended < begun
        for (_, ended), (begun, _) in zip(list(spans.values())[:-1], list(spans.values())[1:], strict=True)
    )
    assert outcome.changes["delete"] == kept
    assert there.things() == []
    assert there.resources() == []


def test_what_is_protected_is_deleted_only_once_the_stack_lets_it_go(project: Callable[[str], Project]) -> None:
    there = project("staging")
    there.edit(lambda config: config.update({"corral:protect": True}))
    assert there.up().changes["update"] == 1  # the cluster, which AWS is told of too

    with pytest.raises(FailedError, match=r'cluster-cluster" cannot be deleted\s+because it is protected'):
        there.preview_destroy()

    there.edit(lambda config: config.update({"corral:protect": False}))
    there.up()
    there.destroy()

    assert there.things() == []


def test_a_destroy_that_fails_is_finished_by_the_next(project: Callable[[str], Project]) -> None:
    there = project("staging")

    there.store.set_faults([{"what": "delete", "kind": "Gateway"}])
    with pytest.raises(FailedError, match="gateway-gateway"):
        there.destroy()

    left = {thing.name for thing in there.things()}
    assert {"gateway-gateway", "gateway-software-ai-gateway", "gateway-namespace"} <= left

    there.store.set_faults([])
    there.destroy()

    assert there.things() == []
    assert there.resources() == []
