"""How long a hand-over waits, and when."""

from __future__ import annotations

import base64
import time

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from corral.gateway.cutover import HandoverProvider, Properties, is_handed_over


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def told(**routes: str) -> Properties:
    return {"routes": routes, "milliseconds": 1_500}


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
def test_a_model_that_keeps_or_loses_or_gets_its_route_is_not_handed_over(
    before: dict[str, str], after: dict[str, str], want: bool
):
    assert is_handed_over(before, after) == want


def test_another_route_is_given_its_time(waited: list[float]):
    HandoverProvider().update("handover", told(llama="a"), told(llama="b"))
    assert waited == [1.5]


def test_nothing_is_waited_for_where_there_was_no_route(waited: list[float]):
    made = HandoverProvider().create(told(llama="a"))
    HandoverProvider().update("handover", told(llama="a"), told(llama="a", scout="c"))
    assert (waited, made.outs) == ([], told(llama="a"))


def test_another_time_alone_is_no_change():
    provider = HandoverProvider()
    changed = [
        provider.diff("handover", told(llama="a"), now).changes
        for now in (told(llama="a"), told(llama="a") | {"milliseconds": 1}, told(llama="b"))
    ]
    assert changed == [False, False, True]


def test_the_state_keeps_of_the_provider_its_name_alone():
    pickled = base64.b64decode(serialize_provider(HandoverProvider()))
    assert b"corral.gateway.cutover" in pickled
    assert len(pickled) < 200
