"""The page's server: on loopback, in the process and the event loop of `corral up`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.routing import Route

from components.embedded.errors import EngineError
from components.loopback.listening import LOOPBACK, bind
from components.loopback.server import settings
from components.page.app import page_app
from components.page.feed import Feed
from components.page.watch import Watch
from components.page.watching import Served, keep_watching

_GRACE = 2
"""Seconds that answers under way get when the server is told to end."""


@dataclass(frozen=True)
class Listening:
    """Where the page is served."""

    socket: socket.socket
    taken: int | None
    """The port that was wanted, where somebody else has it."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.socket.getsockname()[1]}/"


def listen(port: int) -> Listening:
    """Listens on loopback, on a free port for 0 and where the port is taken.  Raises EngineError."""
    try:
        return Listening(bind(port), None)
    except OSError:
        pass
    try:
        return Listening(bind(0), port)
    except OSError as reason:
        raise EngineError(f"The page's port {port} cannot be listened on, nor another: {reason.strerror}.") from None


@asynccontextmanager
async def serving_page(listening: Listening, served: Served, url: str, *more: Route) -> AsyncGenerator[None]:
    """Serves the page of a stack, whose clients' base URL is `url`, until the end of the block."""
    watch = Watch(url)
    feed = Feed(watch.state)
    server = _Server(settings(page_app(watch, feed, *more), log_level="error", timeout_graceful_shutdown=_GRACE))
    watching = asyncio.create_task(keep_watching(served, watch, feed))
    answering = asyncio.create_task(server.serve([listening.socket]))
    try:
        yield
    finally:
        watching.cancel()
        feed.end()
        server.should_exit = True
        await asyncio.gather(watching, answering, return_exceptions=True)


class _Server(uvicorn.Server):
    """Uvicorn's server, which leaves signals to `corral up`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
