"""A Bedrock host, asked through boto3, and what it refuses as errors of OpenAI's shape.

Policy.  Nothing is tried twice: the gateway does that, at another host if there is one.  Without a key of its own the
host is asked with what boto3 finds on this machine: environment, profile, single sign-on, the machine's role.  The
gateway's callers have no say in that.

Errors.  The status tells the gateway whether another host may do better (5xx, 401, 403, 404, 429) or the request itself
is at fault (400).  So statuses are Bedrock's own, but for those by which it blames the caller for what the model did:
a model that is not ready (429 there) is 503, one that took too long (408) is 504, one that failed (424) is 502.  An id
that it does not know is 404: Bedrock calls that invalid as often as not found.  What it says its model does not support
another host may: that is `unsupported`.  Credentials that are missing, or cannot
be had, are 401.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.eventstream import ParserError  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError  # pyright: ignore[reportMissingTypeStubs]
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as StreamTimeoutError

from corral.hosts.adapted.description import BedrockHost
from corral.local.adapter.converse import Chunks, answer_id, completion, converse
from corral.local.adapter.openai import UNSUPPORTED, ChatError, Head, no_answer
from corral.local.adapter.requests import ChatRequest

FAILURES: Final = (ClientError, BotoCoreError, ResponseParserError, ParserError, HTTPError, OSError)
"""Everything that boto3 raises, streams included."""

_STATUS: Final[Mapping[str, int]] = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelErrorException": 502,
    "ModelNotReadyException": 503,
    "ModelStreamErrorException": 502,
    "ModelTimeoutException": 504,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 429,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
"""The exceptions of Converse and ConverseStream; an exception within a stream begins with a small letter there."""

_INVALID_ID: Final = "The provided model identifier is invalid"
"""The beginning of a ValidationException that is about the id."""

_INCAPABLE: Final = re.compile(r"\bdo(es)?(n't| not) support\b|exceeds the model limit")
"""In a ValidationException that says what the model there cannot: "This model doesn't support ...", "The maximum tokens
you requested exceeds the model limit of 8192"."""

_CREDENTIALS: Final = (
    CredentialRetrievalError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)

_CODES: Final[Mapping[int, str]] = {404: "model_not_found", 429: "rate_limit_exceeded"}


def chat_error(failure: Exception) -> ChatError:
    """The error for one of FAILURES."""
    match failure:
        case ClientError():
            return _client_error(cast("Mapping[str, Any]", failure.response))  # pyright: ignore[reportUnknownMemberType]
        case _ if isinstance(failure, _CREDENTIALS):
            why = f"there are no AWS credentials to sign with ({type(failure).__name__})"
            return ChatError(401, why, "no_credentials")
        case ParamValidationError():
            return ChatError(400, f"Converse does not take it: {failure}", "invalid_value")
        case _:
            timeouts = (ReadTimeoutError, ConnectTimeoutError, StreamTimeoutError)
            return no_answer(failure, timeout=isinstance(failure, timeouts))


def _client_error(response: Mapping[str, Any]) -> ChatError:
    error: Mapping[str, str] = response.get("Error", {})
    meta: Mapping[str, Any] = response.get("ResponseMetadata", {})
    name, message = error.get("Code", ""), error.get("Message", "")
    name = name[:1].upper() + name[1:]
    status = _STATUS.get(name) or meta.get("HTTPStatusCode", 0)
    if name == "ValidationException" and message.startswith(_INVALID_ID):
        status = 404
    if not 400 <= status < 600:
        status = 502
    if name == "ValidationException" and _INCAPABLE.search(message):
        return ChatError(400, f"{name}: {message}", UNSUPPORTED, "model")
    retry_after: str | None = meta.get("HTTPHeaders", {}).get("retry-after")
    return ChatError(status, f"{name}: {message}", _CODES.get(status), retry_after=retry_after)


MAX_REQUESTS: Final = 256
"""Requests under way to all Bedrock hosts at a time."""

_T = TypeVar("_T")


class Threads:
    """The threads in which boto3, which only knows how to block, waits for Bedrock.

    A request has at most one call under way, so there are never more threads than requests.  What comes when all are
    taken is refused at once with 503, which sends it on to another host, rather than left to wait in a queue that
    nobody sees.
    """

    def __init__(self, most: int = MAX_REQUESTS) -> None:
        self._most = most
        self._taken = 0
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="bedrock")

    @contextmanager
    def request(self) -> Generator[None]:
        """For the time of one request.  Raises ChatError if there are too many."""
        if self._taken >= self._most:
            raise ChatError(503, f"{self._most} requests are under way to it already", "overloaded")
        self._taken += 1
        try:
            yield
        finally:
            self._give_back()

    async def run(self, call: Callable[[], _T], abandoned: Callable[[Future[_T]], object] = lambda _: None) -> _T:
        """Makes the call in a thread, and returns or raises what that does.

        If nobody waits for it any more, it counts as a request until it ends, and is `abandoned` then.
        """
        begun = self._pool.submit(call)
        try:
            return await asyncio.wrap_future(begun)
        except asyncio.CancelledError:
            loop = asyncio.get_running_loop()
            self._taken += 1
            begun.add_done_callback(abandoned)
            begun.add_done_callback(lambda _: loop.call_soon_threadsafe(self._give_back))
            raise

    def _give_back(self) -> None:
        self._taken -= 1

    def close(self) -> None:
        """Waits for no call."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _events(threads: Threads, client: Any, parameters: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
    """The answer's `ResponseMetadata`, in a dictionary with this key, then its events.  Raises FAILURES.

    They are read in threads, no faster than the client reads them.  Closing the generator ends the stream at Bedrock.
    """
    answer = await threads.run(partial(client.converse_stream, **parameters), abandoned=_close_unread)
    stream: Any = answer["stream"]
    try:
        yield {"ResponseMetadata": answer["ResponseMetadata"]}
        following: Iterator[Mapping[str, Any]] = iter(stream)
        read = partial(next, following, None)
        while (event := await threads.run(read, abandoned=lambda _: stream.close())) is not None:
            yield event
    except asyncio.CancelledError:
        # A thread still waits for bytes: without any to come it ends, and the connection with it.
        with suppress(ValueError, RuntimeError, OSError):
            stream._raw_stream.shutdown()  # botocore itself shows no way to interrupt a read
        raise
    except BaseException:
        stream.close()
        raise
    stream.close()


def _close_unread(begun: Future[Mapping[str, Any]]) -> None:
    with suppress(CancelledError, *FAILURES):
        begun.result()["stream"].close()


class Bedrock:
    """A client of one host, see `server.HostClient`."""

    def __init__(self, host: BedrockHost, threads: Threads) -> None:
        """Blocks for the time that boto3 takes to read its own files.  Raises BotoCoreError."""
        self.host = host
        self._threads = threads
        self._client = _client(host)

    async def completion(self, request: ChatRequest) -> dict[str, Any]:
        parameters = self._parameters(request)
        with self._threads.request():
            try:
                answer = await self._threads.run(partial(self._client.converse, **parameters))
            except FAILURES as failure:
                raise chat_error(failure) from None
        return completion(answer, request, int(time.time()))

    async def chunks(self, request: ChatRequest) -> AsyncGenerator[dict[str, Any]]:
        parameters = self._parameters(request)
        with self._threads.request():
            try:
                async with aclosing(_events(self._threads, self._client, parameters)) as events:
                    head = Head(answer_id(await anext(events)), request.model, int(time.time()))
                    chunks = Chunks(head, request)
                    async for event in events:
                        for chunk in chunks.of(event):
                            yield chunk
                    chunks.end()
            except FAILURES as failure:
                raise chat_error(failure) from None

    async def close(self) -> None:
        self._client.close()

    def _parameters(self, request: ChatRequest) -> dict[str, Any]:
        return {**converse(request, self.host.models[request.model]), **self.host.parameters}


def _client(host: BedrockHost) -> Any:
    config = Config(
        connect_timeout=host.connect_timeout / 1000,
        read_timeout=host.idle_timeout / 1000,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=MAX_REQUESTS,
        tcp_keepalive=True,
        # Named where there is a key: else a bearer token in the environment would go before it.
        signature_version="v4" if host.key else None,
        # A simulated host is on this machine, where no proxy stands between.
        proxies={} if host.key else None,
    )
    aws: Any = boto3.Session(
        region_name=host.region,
        aws_access_key_id=host.key.id if host.key else None,
        aws_secret_access_key=host.key.secret if host.key else None,
    )
    return aws.client("bedrock-runtime", endpoint_url=host.url, verify=host.ca, config=config)
