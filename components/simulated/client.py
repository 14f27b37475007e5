"""One HTTP exchange from the host's side: reading the request, answering it, waiting, and going away."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from components.simulated.counts import Exchange


class ClientLeftError(Exception):
    """The client closed the connection; nothing can be answered any more."""


class Client:
    """Who asked.  The status and what was sent are written down in `exchange`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._exchange = exchange
        self.id_header = "x-request-id"
        """The header in which the host says by which id it knows the request."""

    def header(self, name: bytes) -> str:
        """The value of a request header, or nothing."""
        return next((value.decode("latin-1") for key, value in self._scope["headers"] if key == name), "")

    async def body(self) -> bytes:
        """The whole request body.  Raises ClientLeftError."""
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def answer(self, status: int, body: bytes, *more: tuple[str, str]) -> None:
        """Answers with JSON in one piece; `more` are further headers."""
        await self.begin(status, "application/json", len(body), *more)
        await self.end(body)

    async def begin(self, status: int, content_type: str, length: int | None, *more: tuple[str, str]) -> None:
        """Sends the status line and headers; without a length the body is chunked."""
        headers = [("content-type", content_type), (self.id_header, f"req_{uuid.uuid4().hex}"), *more]
        if length is not None:
            headers.append(("content-length", str(length)))
        self._exchange.status = status
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def more(self, body: bytes) -> None:
        """Sends a part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes) -> None:
        """Sends the last part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def wait(self, seconds: float) -> None:
        """Lets time pass.  Raises ClientLeftError as soon as the client leaves."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self.leave()
            except TimeoutError:
                return

    async def leave(self) -> None:
        """Waits until the client leaves, then raises ClientLeftError.  Only once the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientLeftError

    async def reset(self) -> None:
        """Resets the TCP connection, then raises ClientLeftError.  Only under `connection.ResettableProtocol`."""
        reset: Callable[[], None] = self._scope["state"]["reset"]
        reset()
        await self.leave()
