"""The page's web app: its files, the events, the history of a model."""

from __future__ import annotations

import time
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from components.page.feed import VIEWERS, Feed
from components.page.guard import Guard
from components.page.watch import Watch

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def page_app(watch: Watch, feed: Feed, *more: Route) -> ASGIApp:
    """The ASGI app; `more` are routes of others."""

    async def events(_: Request) -> Response:
        if feed.viewers >= VIEWERS:
            return PlainTextResponse(f"{VIEWERS} look on already.\n", 503, {"retry-after": "10"})
        return StreamingResponse(feed.events(), media_type="text/event-stream")

    async def history(request: Request) -> Response:
        found = watch.history(request.query_params.get("model", ""))
        if found is None:
            return PlainTextResponse("No such model.\n", 404)
        return JSONResponse({"now": time.time_ns() // 1_000_000, **found})

    routes = [Route("/events", events), Route("/history", history), *_files(), *more]
    return Guard(Starlette(routes=routes))


def _files() -> list[Route]:
    """A route for each file of the page."""
    return [
        _file("/" if file.name == "index.html" else f"/{file.name}", file.read_bytes(), _TYPES[suffix])
        for file in files("components.page").joinpath("static").iterdir()
        if (suffix := file.name.rpartition(".")[2]) in _TYPES
    ]


def _file(path: str, content: bytes, media_type: str) -> Route:
    async def answer(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return Route(path, answer)
