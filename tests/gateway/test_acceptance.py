"""What the controllers say of a route, and when it is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pulumi
import pytest

from corral.gateway.cutover import Word, judge, word_on_http_route, word_on_route

NOTHING = Word("Envoy AI Gateway says nothing of it", known=False)
NOTHING_OF_THIS = Word("Envoy Gateway says nothing of this version of it", known=False)
REFUSED = Word("it names nobody")


def condition(type_: str, status: str = "True", **said: Any) -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": type_, "message": "", **said}


@pytest.mark.parametrize(
    ("status", "want"),
    [
        (None, NOTHING),
        ({}, NOTHING),
        ({"conditions": [condition("Accepted")]}, Word()),
        (
            {"conditions": [condition("NotAccepted", "False", message="AIServiceBackend a.corral not found")]},
            Word("Envoy AI Gateway refuses it: AIServiceBackend a.corral not found"),
        ),
    ],
)
def test_envoy_ai_gateway_says_it_by_the_type_of_its_only_condition(status: dict[str, Any] | None, want: Word):
    assert word_on_route(status) == want


MISSING = condition("ResolvedRefs", "False", reason="BackendNotFound", message="Backend a not found.")


@pytest.mark.parametrize(
    ("conditions", "want"),
    [
        ([], NOTHING_OF_THIS),
        ([condition("Accepted", observedGeneration=2)], NOTHING_OF_THIS),
        ([condition("Accepted", "False", message="refused", observedGeneration=2)], NOTHING_OF_THIS),
        ([condition("Accepted", observedGeneration=3)], Word()),
        (
            [condition("Accepted", "False", reason="NoMatchingParent", message="no listener", observedGeneration=3)],
            Word("Envoy Gateway refuses it (NoMatchingParent): no listener"),
        ),
        (
            [condition("Accepted", observedGeneration=3), {**MISSING, "observedGeneration": 3}],
            Word("Envoy Gateway refuses it (BackendNotFound): Backend a not found"),
        ),
        ([condition("Accepted", observedGeneration=3), {**MISSING, "observedGeneration": 2}], Word()),
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
def test_envoy_gateway_is_believed_of_this_version_alone(conditions: list[dict[str, Any]], want: Word):
    assert word_on_http_route(3, {"parents": [{"conditions": conditions}]}) == want


def judged(words: Sequence[Word]) -> list[float]:
    """The seconds that were waited until there is a judgment; the last word is the last one said."""
    waited: list[float] = []

    async def look(looks: int) -> Word:
        return words[min(looks, len(words) - 1)]

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    try:
        asyncio.run(judge("llama", "llama-1", look, wait))
    except pulumi.RunError:
        waited.append(-1)
    return waited


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ([Word()], [1]),
        ([REFUSED, Word()], [1, 1]),
        ([NOTHING_OF_THIS, NOTHING_OF_THIS, Word()], [1, 1, 2]),
        ([REFUSED, REFUSED, REFUSED, Word()], [1, 1, 2, 4]),
        ([REFUSED], [1, 1, 2, 4, -1]),
        ([NOTHING_OF_THIS, REFUSED], [1, 1, 2, 4, 8, -1]),
        ([NOTHING_OF_THIS], [1, 1, 2, 4, 8, 16, 32, -1]),
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
def test_a_refusal_is_believed_when_it_has_lasted_and_silence_is_waited_out(words: list[Word], want: list[float]):
    assert judged(words) == want


def test_the_error_says_what_is_refused_why_and_the_way_out():
    async def look(_: int) -> Word:
        return REFUSED

    async def wait(_: float) -> None:
        return

    with pytest.raises(pulumi.RunError) as refused:
        asyncio.run(judge("llama", "llama-1", look, wait))
    assert str(refused.value) == (
        "the route of llama is not accepted: it names nobody. Nothing was deleted. Put that right and run `pulumi up` "
        "again. `kubectl -n corral describe aigatewayroute,httproute llama-1` shows what the gateway has"
    )
