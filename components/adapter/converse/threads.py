"""The threads in which boto3, which only knows how to block, waits for Bedrock.

A request has at most one call under way, so there are never more threads than requests.  What comes when all are taken
is refused at once with 503, which sends it on to another host, rather than left to wait in a queue that nobody sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, ParamSpec, TypeVar

from components.adapter.errors import ChatError

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
