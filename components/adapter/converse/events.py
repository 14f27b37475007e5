"""One stream of Converse, read in threads: no faster than the client reads it, and ended when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any

from components.adapter.converse.errors import FAILURES
from components.adapter.converse.threads import Threads


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
