"""The threads in which boto3, which only knows how to block, waits for Bedrock.

A request has at most one call under way, so there are never more threads than requests.  What comes when all are taken
is refused at once with 503, which sends it on to another host, rather than left to wait in a queue that nobody sees.

One stream of Converse, read in threads: no faster than the client reads it, and ended when the client leaves.

A Bedrock host, asked through boto3.

Policy.  Nothing is tried twice: the gateway does that, at another host if there is one.  Without a key of its own the
host is asked with what boto3 finds on this machine: environment, profile, single sign-on, the machine's role.  The
gateway's callers have no say in that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Final, ParamSpec, TypeVar

import boto3  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]

from corral.local.adapter.converse.errors import FAILURES, chat_error
from corral.local.adapter.converse.reply import Chunks, answer_id, completion
from corral.local.adapter.converse.request import converse
from corral.local.adapter.hosts import BedrockHost
from corral.local.adapter.openai import ChatError, Head, in_chunks
from corral.local.adapter.requests import Asked

MOST: Final = 256
"""Requests under way to all Bedrock hosts at a time."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Threads:
    """A bounded pool."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._taken = 0
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="bedrock")

    @contextmanager
    def request(self) -> Generator[None]:
        """For the time of one request.  Raises ChatError if there are too many."""
        if self._taken >= self._most:
            why = f"{self._most} requests are under way to it already"
            raise ChatError(503, why, type="server_error", code="overloaded")
        self._taken += 1
        try:
            yield
        finally:
            self._give_back()

    async def run(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What the call returns or raises."""
        begun = self.begin(call, *args, **kwargs)
        try:
            return await asyncio.wrap_future(begun)
        except asyncio.CancelledError:
            self.leave(begun)
            raise

    def begin(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """The same, for who must know of its end even when nobody waits for it any more (`leave`)."""
        return self._pool.submit(call, *args, **kwargs)

    def leave(self, begun: Future[_T]) -> None:
        """Nobody waits for this call any more; until it ends it counts as a request."""
        loop = asyncio.get_running_loop()
        self._taken += 1
        begun.add_done_callback(lambda _: loop.call_soon_threadsafe(self._give_back))

    def _give_back(self) -> None:
        self._taken -= 1

    def close(self) -> None:
        """Waits for no call."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def events(threads: Threads, client: Any, request: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
    """The answer's `ResponseMetadata`, in a dictionary with this key, then its events.  Raises FAILURES.

    Closing the generator ends the stream at Bedrock.
    """
    begun: Future[Mapping[str, Any]] = threads.begin(client.converse_stream, **request)
    try:
        answer = await asyncio.wrap_future(begun)
    except asyncio.CancelledError:
        begun.add_done_callback(_close_unread)
        threads.leave(begun)
        raise
    stream: Any = answer["stream"]
    event: Future[Mapping[str, Any] | None] | None = None
    try:
        yield {"ResponseMetadata": answer["ResponseMetadata"]}
        following: Iterator[Mapping[str, Any]] = iter(stream)
        while True:
            event = threads.begin(next, following, None)
            said = await asyncio.wrap_future(event)
            event = None
            if said is None:
                return
            yield said
    finally:
        if event is None:
            stream.close()
        else:
            # A thread still waits for bytes: without any to come it ends, and the connection with it.
            with suppress(ValueError, RuntimeError, OSError):
                stream._raw_stream.shutdown()  # botocore itself shows no way to interrupt a read
            event.add_done_callback(lambda _: stream.close())
            threads.leave(event)


def _close_unread(begun: Future[Mapping[str, Any]]) -> None:
    with suppress(CancelledError, *FAILURES):
        begun.result()["stream"].close()


class Bedrock:
    """See `host.Host`."""

    def __init__(self, description: BedrockHost, threads: Threads) -> None:
        """Blocks for the time that boto3 takes to read its own files.  Raises BotoCoreError."""
        self.description = description
        self._threads = threads
        self._client = _client(description)

    async def completion(self, asked: Asked) -> dict[str, Any]:
        request = converse(asked, self._model(asked).output)
        with self._threads.request():
            try:
                answer = await self._threads.run(self._client.converse, **request)
            except FAILURES as failure:
                raise chat_error(failure) from None
        return completion(answer, asked.model, int(time.time()))

    async def chunks(self, asked: Asked) -> AsyncGenerator[dict[str, Any]]:
        if not self._model(asked).streams(with_tools=bool(asked.tools)):
            for chunk in in_chunks(await self.completion(asked), wants_usage=asked.wants_usage):
                yield chunk
            return
        request = converse(asked, self._model(asked).output)
        with self._threads.request():
            try:
                async with aclosing(events(self._threads, self._client, request)) as stream:
                    head = Head(answer_id(await anext(stream)), asked.model, int(time.time()))
                    chunks = Chunks(head, wants_usage=asked.wants_usage)
                    async for event in stream:
                        for chunk in chunks.of(event):
                            yield chunk
                    chunks.end()
            except FAILURES as failure:
                raise chat_error(failure) from None

    async def close(self) -> None:
        self._client.close()

    def _model(self, asked: Asked) -> Any:
        return self.description.models[asked.model]


def _client(host: BedrockHost) -> Any:
    config = Config(
        connect_timeout=host.connect_timeout / 1000,
        read_timeout=host.idle_timeout / 1000,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=MOST,
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
