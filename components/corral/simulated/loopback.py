"""The project's own web servers: how they listen on loopback, serve an ASGI app, and deal with one call of it.

Policy.  A server of Corral's own says nothing that its app does not say: no log of requests, no header with its name.
It takes no forwarded header for true, and speaks HTTP alone.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = "127.0.0.1"


def bind(port: int, address: str = LOOPBACK) -> socket.socket:
    """A listening socket, on loopback by itself; port 0 takes a free one.  Raises OSError.

    It names its protocol: asyncio sets TCP_NODELAY only where it does, and without it each answer takes 40 ms.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def inherited(module: str, description: str, token_variable: str) -> tuple[socket.socket, str]:
    """The socket that a process of ours listens on, and the token it wants to be shown, as its parent gives them.

    Wrong arguments end the process with status 2.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--fd", type=int, required=True, help="an inherited file descriptor that listens already")
    number = parser.parse_args().fd
    token = os.environ.get(token_variable)
    if not token:
        parser.error(f"the environment variable {token_variable} must hold the token that requests show")
    try:
        return socket.socket(fileno=number), token
    except OSError as error:
        parser.error(f"file descriptor {number} is no socket: {error.strerror}")


def settings(app: ASGIApp, **more: Any) -> uvicorn.Config:
    """Uvicorn's settings for an app; `more` of them are the caller's."""
    return uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **more,
    )


_LONGEST_LINE_BYTES = 2**26
KEEP_ALIVE_SECONDS = 3600
"""How long an idle connection stays: longer than any client keeps it, so that no close of ours crosses a request."""

Replace = Callable[[bytes], Awaitable[str | None]]
"""Has the hosts of a line served; why they cannot be, or None."""


class ProcessServer(uvicorn.Server):
    """Uvicorn's server in a process of its own, which serves the hosts that its parent names.

    The parent writes a line to standard input for each change, and gets a line back once these hosts are served:
    `{"error": null}`, or why they are not.  Connections are taken only once it has hosts: those that come before wait.
    The end of standard input is the end of the parent, and of this.  Open requests are not waited for then: they are
    cut.
    """

    def __init__(
        self, app: ASGIApp, replace: Replace, close: Callable[[], Awaitable[None]] | None = None, **more: Any
    ) -> None:
        """`close` is called when nothing is served any more; `more` are Uvicorn's settings."""
        super().__init__(settings(app, log_level="warning", timeout_keep_alive=KEEP_ALIVE_SECONDS, **more))
        self._replace = replace
        self._close = close
        self._following: asyncio.Task[None] | None = None

    def serve_until_ended(self, listening: socket.socket) -> None:
        """Serves until SIGTERM or SIGINT, which ends the process with status 0, or until the parent has ended.

        After a signal uvicorn raises it once more for whoever handled it before: that is the exit.
        """
        end_well_on_signals()
        self.run(sockets=[listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        lines = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
        )
        await self._read_line(lines)
        await super().startup(sockets)
        self._following = asyncio.create_task(self._read_lines(lines))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._following:
            self._following.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)
        if self._close:
            await self._close()

    async def _read_lines(self, lines: asyncio.StreamReader) -> None:
        while not self.should_exit:
            await self._read_line(lines)

    async def _read_line(self, lines: asyncio.StreamReader) -> None:
        line = await lines.readline()
        if not line:
            self.should_exit = True
            return
        sys.stdout.write(json.dumps({"error": await self._replace(line)}) + "\n")
        sys.stdout.flush()


def end_well_on_signals() -> None:
    """SIGTERM and SIGINT end the process with status 0, once Uvicorn has given them back."""

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


class ClientLeftError(Exception):
    """The client closed the connection; nothing can be answered any more."""


class BodyTooLargeError(Exception):
    """The body has more bytes than are taken; it is not read to its end."""


class HttpCall:
    """One call of an ASGI app: its body, its answer, and whether the client is still there."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.status = 0
        """That of the answer; 0: it has not begun."""

    def shows(self, token: str) -> bool:
        """Whether it has this token as `Authorization: Bearer`."""
        shown: bytes = dict(self.scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(shown, f"Bearer {token}".encode())

    async def body(self, limit: int | None = None) -> bytes:
        """The whole body, of so many bytes at most.  Raises ClientLeftError, BodyTooLargeError."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if limit is not None and size > limit:
                raise BodyTooLargeError(f"a request has {limit} bytes at most")
            if not message.get("more_body", False):
                return b"".join(parts)

    async def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        """Answers with JSON in one piece."""
        await self.begin(status, "application/json", ("content-length", str(len(body))), *headers)
        await self.end(body)

    async def begin(self, status: int, content_type: str, *headers: tuple[str, str]) -> None:
        """Sends the status line and headers; without a `content-length` the body is chunked."""
        self.status = status
        encoded = [(name.encode(), value.encode()) for name, value in (("content-type", content_type), *headers)]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def send(self, body: bytes) -> None:
        """Sends a part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes) -> None:
        """Sends the last part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def client_leaves(self) -> None:
        """Waits until the client leaves, then raises ClientLeftError.  Only once the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientLeftError
