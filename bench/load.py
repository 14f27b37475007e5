"""A load of identical requests over kept connections, as fast as the other side answers: the same for every gateway.

In Python, so that the bench needs nothing installed, on libuv's event loop and a parser in C.  How much it can ask at
most is a row of the table: the one of no gateway.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import httptools

_PATIENCE = 30.0
"""Seconds beyond the load's end until an answer that is still missing counts as a failure."""

_REQUEST = {
    "model": "llama-3.3-70b",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant that answers briefly."},
        {"role": "user", "content": "What is the capital of France, and how many people live there?"},
    ],
    "max_tokens": 64,
}


@dataclass
class Result:
    """The measurements of one run of load."""

    seconds: float = 0
    """Until the last answer."""
    latencies: list[float] = field(default_factory=list[float])
    """Seconds until the end of each answer."""
    first_bytes: list[float] = field(default_factory=list[float])
    """Seconds until the first byte of each answer's body."""
    failures: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0


def milliseconds(seconds: list[float], share: float) -> float:
    """The time within which this share of them is."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class _Client(asyncio.Protocol):
    """One kept connection; asks again as soon as it has its answer."""

    def __init__(self, request: bytes, end: bytes, result: Result, until: float) -> None:
        self._request, self._end, self._result, self._until = request, end, result, until
        self._parser = httptools.HttpResponseParser(self)
        self._first, self._tail = 0.0, b""
        self._owed = False
        """Whether an end of the connection is the other side's fault."""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self._first, self._tail, self._owed = 0.0, b"", True
        self._sent = time.perf_counter()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._first = self._first or time.perf_counter()
        self._tail = (self._tail + body)[-32:]

    def on_message_complete(self) -> None:
        now, self._owed = time.perf_counter(), False
        if self._parser.get_status_code() == 200 and self._tail.rstrip().endswith(self._end):
            self._result.latencies.append(now - self._sent)
            self._result.first_bytes.append(self._first - self._sent)
        else:
            self._result.failures += 1
        if now > self._until:
            self.transport.close()
        elif self._parser.should_keep_alive():
            self._ask()
        else:
            self._owed = True
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._result.failures += self._owed
        self.done.set_result(None)


async def load(
    port: int, headers: Mapping[str, str], seconds: float, connections: int, *, streamed: bool = False
) -> Result:
    """Asks `connections` at a time for so many seconds.

    An answer that is no 200, or not whole, counts as a failure.  So does a connection that is cut or closed before
    the end, which is not made again.
    """
    body = json.dumps({**_REQUEST, "stream": True} if streamed else _REQUEST).encode()
    lines = {"host": f"127.0.0.1:{port}", "content-type": "application/json", "content-length": len(body), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    request = f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + body
    end = b"data: [DONE]" if streamed else b"}"
    result, loop = Result(), asyncio.get_running_loop()
    began = time.perf_counter()
    clients = [
        (await loop.create_connection(lambda: _Client(request, end, result, began + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    try:
        _, late = await asyncio.wait([client.done for client in clients], timeout=seconds + _PATIENCE)
        result.seconds = time.perf_counter() - began
    finally:
        for client in clients:
            client.transport.abort()
    await asyncio.gather(*late)
    return result
