"""The page's server: its files, the events, the history of a model; on loopback, in the event loop of `corral serve`.

Policy.  It is for this machine's browser, and for its own files alone.  Only GET and HEAD.  The Host header names
loopback, whatever the port (an SSH tunnel has another): a page that has its own name resolve to 127.0.0.1 is turned
away.  What another site's page asks for is refused too.  The answers allow a browser nothing but what this server
itself serves: no script in the page, no other origin, no frame around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from corral.local.errors import EngineError
from corral.local.page.feed import VIEWERS, Feed
from corral.local.page.watch import Served, Watch, keep_watching
from corral.simulated.loopback import LOOPBACK, bind, settings

_LOOPBACK = re.compile(r"(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses whom the page is not for, and gives every answer its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (_refusal(scope) or self._app)(scope, receive, send_guarded)


def _refusal(scope: Scope) -> ASGIApp | None:
    headers = Headers(scope=scope)
    if scope["method"] not in ("GET", "HEAD"):
        return PlainTextResponse("This page is only read: GET.\n", 405, {"allow": "GET, HEAD"})
    if len(headers.getlist("host")) != 1 or not _LOOPBACK.fullmatch(headers["host"]):
        return PlainTextResponse("This page is asked for at http://127.0.0.1 or http://localhost only.\n", 421)
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
        return PlainTextResponse("This page answers no other page.\n", 403)
    return None


def page_app(watch: Watch, feed: Feed, *more: Route) -> ASGIApp:
    """The ASGI app; `more` are routes of others."""

    async def events(_: Request) -> Response:
        if feed.viewers >= VIEWERS:
            return PlainTextResponse(f"{VIEWERS} look on already.\n", 503, {"retry-after": "10"})
        return StreamingResponse(feed.events(), media_type="text/event-stream")

    async def history(request: Request) -> Response:
        past = watch.history(request.query_params.get("model", ""))
        if past is None:
            return Response(status_code=204)  # one that has just gone: a browser would complain of a 404
        return JSONResponse({"now": time.time_ns() // 1_000_000, **past})

    files = Mount("/", StaticFiles(packages=[("corral.local.page", "static")], html=True))
    return Guard(Starlette(routes=[Route("/events", events), Route("/history", history), *more, files]))


def numbers_route(path: str, numbers: Callable[[str], Awaitable[tuple[bytes, str]]]) -> Route:
    """A body and its content type by the request's `accept`; 503 while Envoy does not answer."""

    async def answer(request: Request) -> Response:
        try:
            body, content_type = await numbers(request.headers.get("accept", ""))
        except EngineError as reason:
            return PlainTextResponse(f"{reason}\n", 503)
        return Response(body, headers={"content-type": content_type})

    return Route(path, answer)


_GRACE_SECONDS = 2
"""For answers under way when the server is told to end."""
_DATE_SECONDS = 1
"""How exact the date of an answer is."""


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
    reason: str | None = None
    for wanted, taken in ((port, None), (0, port)):
        try:
            return Listening(bind(wanted), taken)
        except OSError as error:
            reason = error.strerror
    raise EngineError(f"The page's port {port} cannot be listened on, nor another: {reason}.")


@asynccontextmanager
async def serving_page(listening: Listening, served: Served, url: str, *more: Route) -> AsyncGenerator[None]:
    """Serves the page of a stack, whose clients' base URL is `url`, until the end of the block."""
    watch = Watch(url)
    feed = Feed(watch.state)
    server = _Server(
        settings(page_app(watch, feed, *more), log_level="error", timeout_graceful_shutdown=_GRACE_SECONDS)
    )
    watching = asyncio.create_task(keep_watching(served, watch, feed))
    answering = asyncio.create_task(server.serve([listening.socket]))
    try:
        yield
    finally:
        watching.cancel()
        feed.end()
        server.end()
        await asyncio.gather(watching, answering, return_exceptions=True)


class _Server(uvicorn.Server):
    """Uvicorn's server, which leaves signals to `corral serve`, and wakes up for the date of its answers alone, where
    Uvicorn's own does so ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _DATE_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
