"""What stands before every answer of the page: it is for this machine's browser, and for its own files alone.

Policy.  Only GET and HEAD.  The Host header names loopback, whatever the port (an SSH tunnel has another): a page that
has its own name resolve to 127.0.0.1 is turned away.  What another site's page asks for is refused too.  The answers
allow a browser nothing but what this server itself serves: no script in the page, no other origin, no frame around it.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
    """An ASGI app around another."""

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
