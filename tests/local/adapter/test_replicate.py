"""Replicate, over HTTP to a simulated one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from corral.local.adapter.openai import ChatError
from corral.local.adapter.replicate import refusal, unreached
from tests.local.adapter.conftest import BIG, MAVERICK, TOKEN, Adapter, replicate
from tests.simulated.process import SimulatedProcess

MESSAGES: Any = [{"role": "user", "content": "hello to you"}]


def counts(simulated: SimulatedProcess) -> dict[tuple[str | None, int], tuple[int, int, int]]:
    """What was counted, by model and status: requests, prompt and answer."""
    return {
        (count.model, count.status): (count.requests, count.prompt_tokens, count.answer_tokens)
        for count in simulated.control.state().counts
        if count.host == "replicate"
    }


def grown(
    before: dict[tuple[str | None, int], tuple[int, int, int]],
    after: dict[tuple[str | None, int], tuple[int, int, int]],
) -> dict[tuple[str | None, int], tuple[int, int, int]]:
    sums = {
        key: (now[0] - then[0], now[1] - then[1], now[2] - then[2])
        for key, now in after.items()
        for then in (before.get(key, (0, 0, 0)),)
    }
    return {key: grew for key, grew in sums.items() if any(grew)}


def test_a_conversation_in_llama_3_s_own_form(adapter: Adapter):
    messages: Any = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "hello {you}"},
    ]
    answer = adapter.client("replicate").chat.completions.create(model=BIG, messages=messages)
    assert answer.choices[0].message.content == f"replicate (simulated) answers as {BIG}: hello {{you}}"
    assert answer.usage
    assert answer.usage.prompt_tokens == 7


def test_lines_and_blanks_come_through_a_stream_as_they_are(adapter: Adapter):
    text = "a\u2028b  c"
    stream = adapter.client("replicate").chat.completions.create(
        model=MAVERICK, messages=[{"role": "user", "content": text}], stream=True
    )
    answer = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert answer == f"replicate (simulated) answers as {MAVERICK}: {text}"


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_prediction_is_waited_for(adapter: Adapter, simulated: SimulatedProcess, *, stream: bool):
    simulated.control.set_speed("replicate", tokens_per_second=1 if not stream else 20)
    before = counts(simulated)
    parameters: Any = {"model": MAVERICK, "messages": MESSAGES}
    client = adapter.client("replicate")
    if stream:
        list(client.chat.completions.create(**parameters, stream=True))
    else:
        answer = client.chat.completions.create(**parameters)
        assert answer.usage
        assert answer.usage.completion_tokens == 8
    counted = grown(before, counts(simulated))
    assert counted[MAVERICK, 201] == (1, 3, 0)
    assert counted[MAVERICK, 200][1:] == (0, 8)


def test_a_client_that_leaves_has_its_prediction_cancelled(
    adapter: Adapter, simulated: SimulatedProcess, until: Callable[[Callable[[], bool]], None]
):
    simulated.control.set_speed("replicate", tokens_per_second=1)
    before = counts(simulated)
    body = {"model": MAVERICK, "messages": MESSAGES, "stream": True}
    url, key = f"{adapter.url('replicate')}/chat/completions", {"authorization": f"Bearer {TOKEN}"}
    with httpx.stream("POST", url, json=body, headers=key) as answer:
        next(answer.iter_bytes())
    # The stream that was read for a while, and the cancelling.
    until(lambda: grown(before, counts(simulated)).get((MAVERICK, 200), (0,))[0] == 2)
    assert not simulated.control.state().open


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"stop": "a"}, "stop"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
         "messages[0].content[0]"),
    ],
)  # fmt: skip
def test_what_it_cannot_express_is_refused(adapter: Adapter, parameters: dict[str, Any], param: str):
    with pytest.raises(openai.BadRequestError) as error:
        adapter.client("replicate").chat.completions.create(**({"model": MAVERICK, "messages": MESSAGES} | parameters))
    assert error.value.param == param


def test_a_fault_between_making_a_prediction_and_reading_it_is_an_error(adapter: Adapter, simulated: SimulatedProcess):
    impatient = replicate(simulated.port)
    adapter.serve([impatient])
    simulated.control.set_speed("replicate", tokens_per_second=1)
    simulated.control.set_fault("replicate", "reset-mid-stream")
    with pytest.raises(openai.APIError):
        list(adapter.client("replicate").chat.completions.create(model=MAVERICK, messages=MESSAGES, stream=True))


def error(status: int, message: str, kind: str, code: str | None = None, retry_after: str | None = None) -> ChatError:
    want = ChatError(status, message, code, retry_after=retry_after)
    assert want.type == kind
    return want


THROTTLED = "Request was throttled. Your rate limit resets in ~30s."


@pytest.mark.parametrize(
    ("response", "want"),
    [
        (httpx.Response(401, json={"detail": "no"}), error(401, "no", "invalid_request_error")),
        (httpx.Response(402, json={"detail": "broke"}), error(429, "broke", "rate_limit_error", "insufficient_quota")),
        (httpx.Response(404, json={"detail": "gone"}), error(404, "gone", "invalid_request_error", "model_not_found")),
        (httpx.Response(422, json={"detail": "bad"}), error(400, "bad", "invalid_request_error")),
        (httpx.Response(429, json={"detail": THROTTLED}),
         error(429, THROTTLED, "rate_limit_error", "rate_limit_exceeded", "30")),
        (httpx.Response(429, json={"detail": THROTTLED}, headers={"retry-after": "7"}),
         error(429, THROTTLED, "rate_limit_error", "rate_limit_exceeded", "7")),
        (httpx.Response(500, text="<html>"), error(500, "it answers 500", "server_error")),
        (httpx.Response(503, json=["detail"]), error(503, "it answers 503", "server_error")),
    ],
)  # fmt: skip
def test_what_it_refuses_has_its_error(response: httpx.Response, want: ChatError):
    assert vars(refusal(response)) == vars(want)


@pytest.mark.parametrize(
    ("failure", "status"), [(httpx.ReadTimeout("x"), 504), (httpx.ConnectError("x"), 502), (httpx.ReadError("x"), 502)]
)
def test_a_host_that_is_not_reached_may_be_replaced_by_another(failure: httpx.HTTPError, status: int):
    assert unreached(failure).status == status
