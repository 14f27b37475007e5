"""What the controllers report of a route, when it is believed, and how long a cut-over waits."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from typing import Any

import pulumi
import pytest
from pulumi.dynamic.dynamic import PROVIDER_KEY, serialize_provider

from corral.gateway.cutover import (
    PropagationDelayProvider,
    Properties,
    RouteStatus,
    ai_gateway_route_status,
    http_route_status,
    is_cut_over,
    wait_until_accepted,
)

ACCEPTED = RouteStatus()
UNREPORTED = RouteStatus("Envoy AI Gateway says nothing of it", reported=False)
UNREPORTED_VERSION = RouteStatus("Envoy Gateway says nothing of this version of it", reported=False)
REFUSED = RouteStatus("it names nobody")


def condition(type_: str, status: str = "True", **differing: Any) -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": type_, "message": "", **differing}


@pytest.mark.parametrize(
    ("status", "want"),
    [
        (None, UNREPORTED),
        ({}, UNREPORTED),
        ({"conditions": [condition("Accepted")]}, ACCEPTED),
        (
            {"conditions": [condition("NotAccepted", "False", message="AIServiceBackend a.corral not found")]},
            RouteStatus("Envoy AI Gateway refuses it: AIServiceBackend a.corral not found"),
        ),
    ],
)
def test_envoy_ai_gateway_reports_by_its_only_condition(status: dict[str, Any] | None, want: RouteStatus):
    assert ai_gateway_route_status(status) == want


MISSING = condition("ResolvedRefs", "False", reason="BackendNotFound", message="Backend a not found.")


@pytest.mark.parametrize(
    ("conditions", "want"),
    [
        ([], UNREPORTED_VERSION),
        ([condition("Accepted", observedGeneration=2)], UNREPORTED_VERSION),
        ([condition("Accepted", "False", message="refused", observedGeneration=2)], UNREPORTED_VERSION),
        ([condition("Accepted", observedGeneration=3)], ACCEPTED),
        (
            [condition("Accepted", "False", reason="NoMatchingParent", message="no listener", observedGeneration=3)],
            RouteStatus("Envoy Gateway refuses it (NoMatchingParent): no listener"),
        ),
        (
            [condition("Accepted", observedGeneration=3), {**MISSING, "observedGeneration": 3}],
            RouteStatus("Envoy Gateway refuses it (BackendNotFound): Backend a not found"),
        ),
        ([condition("Accepted", observedGeneration=3), {**MISSING, "observedGeneration": 2}], ACCEPTED),
    ],
    ids=[
        "nothing",
        "an earlier version accepted",
        "an earlier version refused",
        "accepted",
        "refused",
        "it names what is not there",
        "an earlier version named what was not there",
    ],
)
def test_envoy_gateway_is_believed_of_this_version_alone(conditions: list[dict[str, Any]], want: RouteStatus):
    assert http_route_status(3, {"parents": [{"conditions": conditions}]}) == want


def waits(reports: Sequence[RouteStatus]) -> list[float]:
    """The seconds that were waited, and -1 where the route was refused in the end; the last report stays."""
    waited: list[float] = []

    async def read(attempt: int) -> RouteStatus:
        return reports[min(attempt, len(reports) - 1)]

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    try:
        asyncio.run(wait_until_accepted("llama", "corral/llama-1", read, wait))
    except pulumi.RunError:
        waited.append(-1)
    return waited


@pytest.mark.parametrize(
    ("reports", "want"),
    [
        ([ACCEPTED], [1]),
        ([REFUSED, ACCEPTED], [1, 1]),
        ([UNREPORTED_VERSION, UNREPORTED_VERSION, ACCEPTED], [1, 1, 2]),
        ([REFUSED, REFUSED, REFUSED, ACCEPTED], [1, 1, 2, 4]),
        ([REFUSED], [1, 1, 2, 4, -1]),
        ([UNREPORTED_VERSION, REFUSED], [1, 1, 2, 4, 8, -1]),
        ([UNREPORTED_VERSION], [1, 1, 2, 4, 8, 16, 32, -1]),
    ],
    ids=[
        "accepted",
        "refused for a moment",
        "late",
        "refused for four seconds",
        "refused",
        "late and refused",
        "silent",
    ],
)
def test_a_refusal_is_believed_when_it_has_lasted_and_silence_is_waited_out(
    reports: list[RouteStatus], want: list[float]
):
    assert waits(reports) == want


def test_the_error_says_what_is_refused_why_and_the_way_out():
    async def read(_: int) -> RouteStatus:
        return REFUSED

    async def wait(_: float) -> None:
        return

    with pytest.raises(pulumi.RunError) as refused:
        asyncio.run(wait_until_accepted("llama", "corral/llama-1", read, wait))
    assert str(refused.value) == (
        "the route of llama is not accepted: it names nobody. Nothing was deleted. Put that right and run `pulumi up "
        "--refresh`, which makes anew what is gone. `kubectl -n corral describe aigatewayroute,httproute llama-1` "
        "shows what the gateway has"
    )


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def routes(**names: str) -> Properties:
    return {"routes": names, "milliseconds": 1_500, PROVIDER_KEY: "this one"}


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        ({"llama": "a"}, {"llama": "a"}, False),
        ({"llama": "a"}, {"llama": "b"}, True),
        ({"llama": "a", "scout": "c"}, {"llama": "b", "scout": "c"}, True),
        ({}, {"llama": "a"}, False),
        ({"llama": "a"}, {}, False),
        ({"llama": "a"}, {"scout": "b"}, False),
    ],
)
def test_a_model_that_keeps_or_loses_or_gets_its_route_is_not_cut_over(
    before: dict[str, str], after: dict[str, str], want: bool
):
    assert is_cut_over(before, after) == want


def test_another_route_is_given_its_time(waited: list[float]):
    PropagationDelayProvider().update("handover", routes(llama="a"), routes(llama="b"))
    assert waited == [1.5]


def test_a_route_where_there_was_none_is_named_with_its_time_and_not_waited_for_here(
    waited: list[float], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(time, "time", lambda: 7.5)
    created = PropagationDelayProvider().create(routes(llama="a"))
    added = PropagationDelayProvider().update("handover", routes(llama="a"), routes(llama="a", scout="c"))
    assert waited == []
    assert created.outs == {**routes(llama="a"), "new": ["llama"], "first": True, "since": 7.5}
    assert added.outs == {**routes(llama="a", scout="c"), "new": ["scout"], "first": False, "since": 7.5}


def test_a_route_that_stays_as_it_is_is_remembered_and_is_no_change(waited: list[float]):
    provider, was = PropagationDelayProvider(), routes(llama="a", scout="b")
    staying = routes(llama="a") | {"kept": ["new", "scout"]}
    moved = routes(llama="c") | {"kept": ["new", "scout"]}
    assert [provider.diff("handover", was, now).changes for now in (staying, moved)] == [False, True]
    updated = provider.update("handover", was, moved).outs
    assert (updated or {})["routes"] == {"llama": "c", "scout": "b"}
    assert waited == [1.5]


def test_another_time_alone_is_no_change_and_another_provider_is_one_that_takes_no_time(waited: list[float]):
    provider, was = PropagationDelayProvider(), routes(llama="a")
    changed = [
        provider.diff("handover", was, now).changes
        for now in (was, was | {"milliseconds": 1}, was | {PROVIDER_KEY: "another"}, routes(llama="b"))
    ]
    provider.update("handover", was, was | {PROVIDER_KEY: "another"})
    assert (changed, waited) == ([False, False, True, True], [])


def test_the_state_keeps_of_the_provider_its_name_alone():
    pickled = base64.b64decode(serialize_provider(PropagationDelayProvider()))
    assert b"corral.gateway.cutover" in pickled
    assert len(pickled) < 200
