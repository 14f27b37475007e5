"""Bedrock through boto3's own parser: images, tools, the credentials, and what boto3 cannot do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import pytest

from corral.simulated import bedrock as eventstream
from corral.simulated.child import SimulatedProcess
from corral.simulated.requests import IMAGE_TOKENS
from corral.simulated.simulation import Count
from tests.local.adapter.conftest import LLAMA, SCOUT, TOKEN, Adapter, bedrock

SAID: Any = [{"role": "user", "content": "hello to you"}]
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PNG = "data:image/png;base64,iVBORw0KGgo="


def counted(simulated: SimulatedProcess, model: str) -> Count:
    """What the host has answered since the test began, of which it knows nothing else."""
    (found,) = [count for count in simulated.control.state().counts if (count.model, count.status) == (model, 200)]
    return found


def test_the_system_and_many_turns(adapter: Adapter):
    said: Any = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "four"},
        {"role": "user", "content": "five six"},
    ]
    answer = adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=said)
    assert answer.choices[0].message.content == f"bedrock (simulated) answers as {LLAMA}: four five six"
    assert answer.usage
    assert answer.usage.prompt_tokens == 8


def test_an_image_arrives(adapter: Adapter):
    parts: Any = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PNG}}]
    answer = adapter.client("bedrock").chat.completions.create(
        model=LLAMA, messages=[{"role": "user", "content": parts}]
    )
    assert answer.usage
    assert answer.usage.prompt_tokens == 1 + IMAGE_TOKENS


@pytest.mark.parametrize("model", [LLAMA, SCOUT], ids=["asked whole", "streamed"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look"}}])
def test_a_tool_is_called(adapter: Adapter, choice: Any, model: str, *, stream: bool):
    asked: Any = {"model": model, "messages": SAID, "tools": TOOLS, "tool_choice": choice}
    completions = adapter.client("bedrock").chat.completions
    if stream:
        with completions.stream(**asked) as chunks:
            (made,) = chunks.get_final_completion().choices
    else:
        (made,) = completions.create(**asked).choices
    (call,) = made.message.tool_calls or []
    assert call.type == "function"
    assert (call.id, call.function.name, call.function.arguments) == ("tooluse_simulated_0", "look", "{}")
    assert (made.message.content or None, made.finish_reason) == (None, "tool_calls")


def test_what_a_tool_gave_is_told(adapter: Adapter):
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    said: Any = [
        *SAID,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "it is blue"},
    ]
    answer = adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=said, tools=TOOLS)
    assert answer.choices[0].message.content == f"bedrock (simulated) answers as {LLAMA}: hello to you"
    assert answer.usage
    assert answer.usage.prompt_tokens == 6


def test_bedrock_s_own_refusal_is_passed_on(adapter: Adapter):
    with pytest.raises(openai.BadRequestError, match="A conversation must start with a user message"):
        adapter.client("bedrock").chat.completions.create(
            model=LLAMA, messages=[{"role": "assistant", "content": "hi"}, *SAID]
        )


def test_a_model_id_may_be_an_arn(adapter: Adapter):
    answer = adapter.client("bedrock").chat.completions.create(model=SCOUT, messages=SAID)
    assert answer.model == SCOUT


def test_the_usage_told_is_the_usage_counted(adapter: Adapter, simulated: SimulatedProcess):
    before = [count for count in simulated.control.state().counts if (count.model, count.status) == (LLAMA, 200)]
    client = adapter.client("bedrock")
    whole = client.chat.completions.create(model=LLAMA, messages=SAID).usage
    *_, last = client.chat.completions.create(
        model=LLAMA, messages=SAID, stream=True, stream_options={"include_usage": True}
    )
    assert whole
    assert last.usage
    after = counted(simulated, LLAMA)
    assert after.prompt_tokens - sum(count.prompt_tokens for count in before) == whole.prompt_tokens * 2
    assert after.answer_tokens - sum(count.answer_tokens for count in before) == whole.completion_tokens * 2
    assert last.usage == whole


def test_a_client_that_leaves_before_the_answer_begins_has_it_ended_as_soon_as_it_does(
    adapter: Adapter, simulated: SimulatedProcess, until: Callable[[Callable[[], bool]], None]
):
    simulated.control.set_speed("bedrock", latency=1_000, tokens_per_second=1)
    body = {"model": LLAMA, "messages": SAID, "stream": True}
    key = {"authorization": f"Bearer {TOKEN}"}
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{adapter.url('bedrock')}/chat/completions",
            json=body,
            headers=key,
            timeout=httpx.Timeout(5, read=0.3),
        )
    until(lambda: not simulated.control.state().open)
    assert time.monotonic() - began < 7, "the whole stream takes 8 s"


def test_without_credentials_it_says_so(new_adapter: Adapter, simulated: SimulatedProcess):
    host = bedrock(simulated.port).model_copy(update={"key": None})
    assert new_adapter.serve([host]) == b'{"error": null}\n'
    with pytest.raises(openai.AuthenticationError, match="there are no AWS credentials to sign with"):
        new_adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=SAID)


def test_the_credentials_of_this_machine_sign(simulated: SimulatedProcess):
    adapter = Adapter.start(AWS_ACCESS_KEY_ID="an-id", AWS_SECRET_ACCESS_KEY="bedrock-key")
    try:
        adapter.serve([bedrock(simulated.port).model_copy(update={"key": None})])
        assert adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=SAID).model == LLAMA
    finally:
        adapter.stop()


def test_a_key_of_its_own_goes_before_a_token_in_the_environment(simulated: SimulatedProcess):
    adapter = Adapter.start(AWS_BEARER_TOKEN_BEDROCK="a real one, which no simulated host may see")
    try:
        adapter.serve([bedrock(simulated.port)])
        assert adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=SAID).model == LLAMA
    finally:
        adapter.stop()


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    """A host that answers every request with this stream; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", eventstream.CONTENT_TYPE)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name there)
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            serving.join()


BEGUN = eventstream.event("messageStart", {"role": "assistant"})
SLOW_DOWN = eventstream.exception("throttlingException", "slow down")


def test_an_exception_that_opens_a_stream_is_an_error_of_its_status(adapter: Adapter):
    with answering(SLOW_DOWN) as port:
        adapter.serve([bedrock(port)])
        with pytest.raises(openai.RateLimitError, match="ThrottlingException: slow down"):
            adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=SAID, stream=True)


@pytest.mark.parametrize(
    ("rest", "message", "code"),
    [
        (SLOW_DOWN, "bedrock: ThrottlingException: slow down", "rate_limit_exceeded"),
        (
            eventstream.exception("modelStreamErrorException", "oh"),
            "bedrock: ModelStreamErrorException: oh",
            None,
        ),
        (b"", "bedrock: the stream broke off", "bad_answer"),
        (
            SLOW_DOWN[:-1] + b"?",
            "bedrock: it cannot be asked, or its answer is none (ChecksumMismatch)",
            "bad_answer",
        ),
    ],
    ids=["throttled", "the model failed", "broken off", "a wrong checksum"],
)
def test_what_goes_wrong_in_a_stream_is_its_last_event(adapter: Adapter, rest: bytes, message: str, code: str | None):
    with answering(BEGUN + rest) as port:
        adapter.serve([bedrock(port)])
        stream = adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=SAID, stream=True)
        assert next(iter(stream)).choices[0].delta.role == "assistant"
        with pytest.raises(openai.APIError) as failed:
            list(stream)
    assert (failed.value.message, failed.value.code) == (message, code)
