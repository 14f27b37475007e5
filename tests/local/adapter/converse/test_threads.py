"""The bounded pool in which boto3 waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from corral.local.adapter.converse.bedrock import Threads
from corral.local.adapter.openai import ChatError


def run(of: Callable[[Threads], Awaitable[None]], most: int) -> None:
    threads = Threads(most)
    try:
        asyncio.run(of(threads))  # pyright: ignore[reportArgumentType]
    finally:
        threads.close()


def test_more_requests_than_threads_are_refused_at_once():
    async def two_of_one(threads: Threads) -> None:
        with threads.request():
            with pytest.raises(ChatError) as refused, threads.request():
                pass
            assert (refused.value.status, refused.value.code) == (503, "overloaded")
        with threads.request():
            assert await threads.run(sum, [1, 2]) == 3

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
