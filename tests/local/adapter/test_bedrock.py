"""Bedrock through boto3's own parser: images, tools, the credentials, and what boto3 cannot do."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    EventStreamError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as StreamTimeoutError

from corral.local.adapter.bedrock import FAILURES, Threads, chat_error
from corral.local.adapter.openai import ChatError
from corral.simulated import bedrock as eventstream
from corral.simulated.requests import IMAGE_TOKENS
from corral.simulated.simulation import Count
from tests.local.adapter.conftest import LLAMA, SCOUT, TOKEN, Adapter, bedrock
from tests.simulated.process import SimulatedProcess

MESSAGES: Any = [{"role": "user", "content": "hello to you"}]
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PNG = "data:image/png;base64,iVBORw0KGgo="


def counted(simulated: SimulatedProcess, model: str) -> Count:
    """What the host has answered since the test began, of which it knows nothing else."""
    (count,) = [count for count in simulated.control.state().counts if (count.model, count.status) == (model, 200)]
    return count


def test_the_system_and_many_turns(adapter: Adapter):
    messages: Any = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "four"},
        {"role": "user", "content": "five six"},
    ]
    answer = adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=messages)
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
def test_a_tool_is_called(adapter: Adapter, model: str, *, stream: bool):
    messages = [{"role": "user", "content": "look at it"}]
    request: Any = {"model": model, "messages": messages, "tools": TOOLS, "parallel_tool_calls": False}
    completions = adapter.client("bedrock").chat.completions
    if stream:
        with completions.stream(**request) as chunks:
            (made,) = chunks.get_final_completion().choices
    else:
        (made,) = completions.create(**request).choices
    (call,) = made.message.tool_calls or []
    assert call.type == "function"
    assert (call.id, call.function.name, call.function.arguments) == ("tooluse_simulated_0", "look", "{}")
    assert (made.message.content or None, made.finish_reason) == (None, "tool_calls")


def test_a_schema_is_kept_to_where_the_model_takes_one(adapter: Adapter):
    schema = {"type": "object", "properties": {"at": {"const": "sky"}}, "required": ["at"]}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "where", "schema": schema}}
    answer = adapter.client("bedrock").chat.completions.create(model=SCOUT, messages=MESSAGES, response_format=wanted)
    assert json.loads(answer.choices[0].message.content or "") == {"at": "sky"}


def test_what_a_tool_gave_is_told(adapter: Adapter):
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    messages: Any = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "it is blue"},
    ]
    answer = adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=messages, tools=TOOLS)
    assert answer.choices[0].message.content == f"bedrock (simulated) answers as {LLAMA}: hello to you"
    assert answer.usage
    assert answer.usage.prompt_tokens == 6


def test_bedrock_s_own_refusal_is_passed_on(adapter: Adapter):
    orphan: Any = {"role": "tool", "tool_call_id": "c", "content": "blue"}
    with pytest.raises(openai.BadRequestError, match="exceeds the number of toolUse blocks of previous turn"):
        adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=[*MESSAGES, orphan], tools=TOOLS)


def test_a_model_id_may_be_an_arn(adapter: Adapter):
    answer = adapter.client("bedrock").chat.completions.create(model=SCOUT, messages=MESSAGES)
    assert answer.model == SCOUT


def test_the_usage_told_is_the_usage_counted(adapter: Adapter, simulated: SimulatedProcess):
    before = [count for count in simulated.control.state().counts if (count.model, count.status) == (LLAMA, 200)]
    client = adapter.client("bedrock")
    whole = client.chat.completions.create(model=LLAMA, messages=MESSAGES).usage
    *_, last = client.chat.completions.create(
        model=LLAMA, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
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
    body = {"model": LLAMA, "messages": MESSAGES, "stream": True}
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
        new_adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=MESSAGES)


def test_the_credentials_of_this_machine_sign(simulated: SimulatedProcess):
    adapter = Adapter.start(AWS_ACCESS_KEY_ID="an-id", AWS_SECRET_ACCESS_KEY="bedrock-key")
    try:
        adapter.serve([bedrock(simulated.port).model_copy(update={"key": None})])
        assert adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=MESSAGES).model == LLAMA
    finally:
        adapter.stop()


def test_a_key_of_its_own_goes_before_a_token_in_the_environment(simulated: SimulatedProcess):
    adapter = Adapter.start(AWS_BEARER_TOKEN_BEDROCK="a real one, which no simulated host may see")
    try:
        adapter.serve([bedrock(simulated.port)])
        assert adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=MESSAGES).model == LLAMA
    finally:
        adapter.stop()


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    """A host that answers every request with this stream; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", eventstream.EVENT_STREAM)
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


def exception(name: str, message: str) -> bytes:
    """A message of an event stream with an exception, after which nothing comes."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return eventstream.message(headers, {"message": message})


BEGUN = eventstream.event("messageStart", {"role": "assistant"})
SLOW_DOWN = exception("throttlingException", "slow down")


def test_an_exception_that_opens_a_stream_is_an_error_of_its_status(adapter: Adapter):
    with answering(SLOW_DOWN) as port:
        adapter.serve([bedrock(port)])
        with pytest.raises(openai.RateLimitError, match="ThrottlingException: slow down"):
            adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=MESSAGES, stream=True)


@pytest.mark.parametrize(
    ("rest", "message", "code"),
    [
        (SLOW_DOWN, "bedrock: ThrottlingException: slow down", "rate_limit_exceeded"),
        (
            exception("modelStreamErrorException", "oh"),
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
        stream = adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=MESSAGES, stream=True)
        assert next(iter(stream)).choices[0].delta.role == "assistant"
        with pytest.raises(openai.APIError) as failed:
            list(stream)
    assert (failed.value.message, failed.value.code) == (message, code)


def client_error(name: str, status: int, message: str = "why", kind: Any = ClientError, **headers: str) -> Exception:
    meta = {"HTTPStatusCode": status, "HTTPHeaders": {key.replace("_", "-"): value for key, value in headers.items()}}
    return kind({"Error": {"Code": name, "Message": message}, "ResponseMetadata": meta}, "Converse")


def error(
    status: int,
    message: str,
    kind: str = "server_error",
    code: str | None = None,
    retry_after: str | None = None,
    param: str | None = None,
) -> ChatError:
    want = ChatError(status, message, code, param, retry_after)
    assert want.type == kind
    return want


REQUEST = "invalid_request_error"
LIMIT = "rate_limit_error"
UNREACHED = "it cannot be asked, or its answer is none"


@pytest.mark.parametrize(
    ("failure", "want"),
    [
        (client_error("ThrottlingException", 429),
         error(429, "ThrottlingException: why", LIMIT, "rate_limit_exceeded")),
        (client_error("ThrottlingException", 429, retry_after="7"),
         error(429, "ThrottlingException: why", LIMIT, "rate_limit_exceeded", retry_after="7")),
        (client_error("ServiceQuotaExceededException", 400),
         error(429, "ServiceQuotaExceededException: why", LIMIT, "rate_limit_exceeded")),
        (client_error("ValidationException", 400), error(400, "ValidationException: why", REQUEST)),
        (client_error("ValidationException", 400, "The provided model identifier is invalid."),
         error(404, "ValidationException: The provided model identifier is invalid.", REQUEST, "model_not_found")),
        (client_error("ValidationException", 400, "This model doesn't support the flex service tier."),
         error(400, "ValidationException: This model doesn't support the flex service tier.", REQUEST,
               "unsupported_parameter", param="model")),
        (client_error("ValidationException", 400, "The maximum tokens you requested exceeds the model limit of 8192."),
         error(400, "ValidationException: The maximum tokens you requested exceeds the model limit of 8192.", REQUEST,
               "unsupported_parameter", param="model")),
        (client_error("AccessDeniedException", 403), error(403, "AccessDeniedException: why", REQUEST)),
        (client_error("UnrecognizedClientException", 403), error(403, "UnrecognizedClientException: why", REQUEST)),
        (client_error("ResourceNotFoundException", 404),
         error(404, "ResourceNotFoundException: why", REQUEST, "model_not_found")),
        (client_error("ModelTimeoutException", 408), error(504, "ModelTimeoutException: why")),
        (client_error("ModelErrorException", 424), error(502, "ModelErrorException: why")),
        (client_error("ModelNotReadyException", 429), error(503, "ModelNotReadyException: why")),
        (client_error("InternalServerException", 500), error(500, "InternalServerException: why")),
        (client_error("ServiceUnavailableException", 503), error(503, "ServiceUnavailableException: why")),
        (client_error("AnErrorOfTomorrow", 418), error(418, "AnErrorOfTomorrow: why", REQUEST)),
        (client_error("AnErrorOfTomorrow", 200), error(502, "AnErrorOfTomorrow: why")),
        (client_error("throttlingException", 200, kind=EventStreamError),
         error(429, "ThrottlingException: why", LIMIT, "rate_limit_exceeded")),
        (client_error("modelStreamErrorException", 200, kind=EventStreamError),
         error(502, "ModelStreamErrorException: why")),
        (NoCredentialsError(), error(401, "there are no AWS credentials to sign with (NoCredentialsError)", REQUEST,
                                     "no_credentials")),
        (UnauthorizedSSOTokenError(),
         error(401, "there are no AWS credentials to sign with (UnauthorizedSSOTokenError)", REQUEST,
               "no_credentials")),
        (ParamValidationError(report="maxTokens"),
         error(400, "Converse does not take it: Parameter validation failed:\nmaxTokens", REQUEST, "invalid_value")),
        (ReadTimeoutError(endpoint_url="u"), error(504, "it did not answer in time", code="timeout")),
        (ConnectTimeoutError(endpoint_url="u"), error(504, "it did not answer in time", code="timeout")),
        (StreamTimeoutError(None, "u", ""), error(504, "it did not answer in time", code="timeout")),  # pyright: ignore[reportArgumentType]
        (EndpointConnectionError(endpoint_url="u"),
         error(502, f"{UNREACHED} (EndpointConnectionError)", code="bad_answer")),
        (ProtocolError("cut"), error(502, f"{UNREACHED} (ProtocolError)", code="bad_answer")),
        (ChecksumMismatch(1, 2), error(502, f"{UNREACHED} (ChecksumMismatch)", code="bad_answer")),
        (ResponseParserError("x"), error(502, f"{UNREACHED} (ResponseParserError)", code="bad_answer")),
        (ConnectionResetError(), error(502, f"{UNREACHED} (ConnectionResetError)", code="bad_answer")),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, Exception) else "",
)  # fmt: skip
def test_each_failure_has_its_error(failure: Exception, want: ChatError):
    assert isinstance(failure, FAILURES)
    assert vars(chat_error(failure)) == vars(want)


def run(of: Callable[[Threads], Awaitable[None]], most: int) -> None:
    threads = Threads(most)
    try:
        asyncio.run(of(threads))  # pyright: ignore[reportArgumentType]
    finally:
        threads.close()


def test_more_requests_than_threads_are_refused_at_once():
    async def two_of_one(threads: Threads) -> None:
        with threads.request():
            with pytest.raises(ChatError) as error, threads.request():
                pass
            assert (error.value.status, error.value.code) == (503, "overloaded")
        with threads.request():
            assert await threads.run(lambda: sum([1, 2])) == 3

    run(two_of_one, 1)


def test_a_call_that_nobody_waits_for_any_more_counts_until_it_ends():
    let_it_end = threading.Event()

    async def leave_one(threads: Threads) -> None:
        async def ask() -> None:
            with threads.request():
                await threads.run(let_it_end.wait)

        asking = asyncio.create_task(ask())
        await asyncio.sleep(0)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        with pytest.raises(ChatError), threads.request():
            pass
        let_it_end.set()
        async with asyncio.timeout(10):
            while True:
                with suppress(ChatError), threads.request():
                    return
                await asyncio.sleep(0)

    run(leave_one, 1)
