"""What holds for every host behind the adapter: through the official client, boto3 or httpx, to a simulated host."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from corral.simulated.simulation import FaultKind
from tests.local.adapter.conftest import LLAMA, MAVERICK, TOKEN, Adapter, bedrock, replicate
from tests.simulated.process import SimulatedProcess

BOTH = pytest.mark.parametrize(("host", "model"), [("bedrock", LLAMA), ("replicate", MAVERICK)])
MESSAGES: Any = [{"role": "user", "content": "hello to you"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}


def echo(host: str, model: str, last: str = "hello to you") -> str:
    return f"{host} (simulated) answers as {model}: {last}"


@BOTH
def test_an_answer(adapter: Adapter, host: str, model: str):
    answer = adapter.client(host).chat.completions.create(model=model, messages=MESSAGES)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, answer.model) == (echo(host, model), "stop", model)
    assert answer.usage
    assert answer.usage.model_dump(exclude_unset=True) == USAGE
    assert len(answer.id) > len("chatcmpl-")


@BOTH
def test_a_stream_that_ends_with_its_usage(adapter: Adapter, host: str, model: str):
    stream = adapter.client(host).chat.completions.create(
        model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = stream
    assert [chunk.choices[0].delta.content for chunk in chunks] == [
        "",
        host,
        " (simulated)",
        " answers",
        " as",
        f" {model}:",
        " hello",
        " to",
        " you",
        None,
    ]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage
    assert last.usage.model_dump(exclude_unset=True) == USAGE
    assert len({chunk.id for chunk in (*chunks, last)}) == 1


@BOTH
def test_a_stream_that_was_not_asked_for_usage_has_none(adapter: Adapter, host: str, model: str):
    chunks = list(adapter.client(host).chat.completions.create(model=model, messages=MESSAGES, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert not any("usage" in chunk.model_fields_set for chunk in chunks)


@BOTH
def test_a_stream_ends_as_openai_s_do(adapter: Adapter, host: str, model: str):
    body = {"model": model, "messages": MESSAGES, "stream": True}
    answer = httpx.post(
        f"{adapter.url(host)}/chat/completions", json=body, headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text.endswith("data: [DONE]\n\n")


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_the_limit_of_tokens_cuts_the_answer(adapter: Adapter, host: str, model: str, *, stream: bool):
    request: Any = {"model": model, "messages": MESSAGES, "max_completion_tokens": 3}
    client = adapter.client(host)
    if stream:
        chunks = list(client.chat.completions.create(**request, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks), chunks[-1].choices[0].finish_reason
    else:
        (choice,) = client.chat.completions.create(**request).choices
        text = choice.message.content, choice.finish_reason
    assert text == (f"{host} (simulated) answers", "length")


@BOTH
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("404", 404),
        ("429", 429),
        ("500", 500),
        ("503", 503),
        ("reset", 502),
    ],
)
def test_what_the_host_refuses_is_an_error_of_its_status(
    adapter: Adapter, simulated: SimulatedProcess, host: str, model: str, fault: FaultKind, status: int, *, stream: bool
):
    simulated.control.set_fault(host, fault, retry_after=17)
    with pytest.raises(openai.APIStatusError) as failure:
        adapter.client(host).chat.completions.create(model=model, messages=MESSAGES, stream=stream)
    assert failure.value.status_code == status
    error: Any = failure.value.body
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"].startswith(f"{host}: ")
    assert failure.value.response.headers.get("retry-after") == ("17" if fault == "429" else None)


@BOTH
def test_a_host_that_says_nothing_has_not_answered_in_time(
    adapter: Adapter, simulated: SimulatedProcess, host: str, model: str
):
    impatient = {"bedrock": bedrock, "replicate": replicate}[host](simulated.port, idle_timeout=200)
    assert adapter.serve([impatient]) == b'{"error": null}\n'
    simulated.control.set_fault(host, "hang")
    with pytest.raises(openai.APIStatusError, match="it did not answer in time") as error:
        adapter.client(host).chat.completions.create(model=model, messages=MESSAGES)
    assert error.value.status_code == 504


@BOTH
def test_a_key_that_is_not_the_host_s_is_refused(adapter: Adapter, simulated: SimulatedProcess, host: str, model: str):
    adapter.serve([bedrock(simulated.port, "wrong"), replicate(simulated.port, "wrong")])
    with pytest.raises(openai.APIStatusError) as error:
        adapter.client(host).chat.completions.create(model=model, messages=MESSAGES)
    assert error.value.status_code in (401, 403)
    assert "wrong" not in error.value.message


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_half_an_answer_is_none(adapter: Adapter, simulated: SimulatedProcess, host: str, model: str, *, stream: bool):
    simulated.control.set_fault(host, "bad-json")
    with pytest.raises(openai.APIError) as error:
        list(adapter.client(host).chat.completions.create(model=model, messages=MESSAGES, stream=stream))
    assert error.value.message


def test_a_stream_that_breaks_off_ends_with_an_error_and_without_its_end(adapter: Adapter, simulated: SimulatedProcess):
    simulated.control.set_speed("bedrock", tokens_per_second=100)
    simulated.control.set_fault("bedrock", "reset-mid-stream")
    body = {"model": LLAMA, "messages": MESSAGES, "stream": True}
    answer = httpx.post(
        f"{adapter.url('bedrock')}/chat/completions", json=body, headers={"authorization": f"Bearer {TOKEN}"}
    )
    *_, last = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    error = json.loads(last)["error"]
    assert (answer.status_code, error["type"], error["code"]) == (200, "server_error", "bad_answer")
    assert "[DONE]" not in answer.text


@BOTH
def test_a_client_that_leaves_ends_the_stream_at_the_host(
    adapter: Adapter, simulated: SimulatedProcess, until: Callable[[Callable[[], bool]], None], host: str, model: str
):
    simulated.control.set_speed(host, tokens_per_second=1)
    body = {"model": model, "messages": MESSAGES, "stream": True}
    url, key = f"{adapter.url(host)}/chat/completions", {"authorization": f"Bearer {TOKEN}"}
    began = time.monotonic()
    with httpx.stream("POST", url, json=body, headers=key) as answer:
        next(answer.iter_bytes())
    until(lambda: not simulated.control.state().open)
    assert time.monotonic() - began < 5, "the whole stream takes 7 s"


def test_a_host_it_does_not_know(adapter: Adapter):
    with pytest.raises(openai.NotFoundError, match="groq: the adapter knows no such host"):
        adapter.client("groq").chat.completions.create(model=LLAMA, messages=MESSAGES)


@BOTH
def test_a_model_id_that_is_not_the_host_s(adapter: Adapter, host: str, model: str):
    with pytest.raises(openai.NotFoundError, match=f"{host}: there is no model '{model}x' here"):
        adapter.client(host).chat.completions.create(model=f"{model}x", messages=MESSAGES)


@BOTH
@pytest.mark.parametrize("route", ["responses", "embeddings", "completions", "models"])
def test_it_has_chat_completions_alone(adapter: Adapter, host: str, model: str, route: str):
    answer = httpx.post(
        f"{adapter.url(host)}/{route}", json={"model": model}, headers={"authorization": f"Bearer {TOKEN}"}
    )
    message = f"{host}: this host has no /v1/{route}: it is asked through /v1/chat/completions alone"
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "unknown_url"}
    assert (answer.status_code, answer.json()) == (404, {"error": error})


def test_only_post_is_taken(adapter: Adapter):
    answer = httpx.get(f"{adapter.url('bedrock')}/chat/completions", headers={"authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer other"}, {"authorization": TOKEN}])
def test_without_the_token_nothing_is_told(adapter: Adapter, header: dict[str, str]):
    answers = [
        httpx.post(f"{adapter.url(host)}/chat/completions", content=b"{", headers=header) for host in ("bedrock", "x")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json()["error"]["message"] == "bedrock: the adapter's token is missing or wrong"
