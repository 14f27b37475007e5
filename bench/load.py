"""A load of identical requests over kept connections, as fast as the other side answers."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast

BODY = json.dumps(
    {
        "model": "llama-3.3-70b",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant that answers briefly."},
            {"role": "user", "content": "What is the capital of France, and how many people live there?"},
        ],
        "max_tokens": 64,
    }
).encode()

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass
class Result:
    """What one run of load found."""

    seconds: float
    latencies: list[float] = field(default_factory=list[float])
    """Seconds, of every answer."""
    failures: int = 0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, result: Result, until: float) -> None:
        self._request, self._result, self._until = request, result, until
        self._buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._buffer)
        if end < 0 or not length or len(self._buffer) < end + 4 + int(length[1]):
            return
        now = time.perf_counter()
        if self._buffer.startswith(b"HTTP/1.1 200"):
            self._result.latencies.append(now - self._sent)
        else:
            self._result.failures += 1
        self._buffer = b""
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc:
            self._result.failures += 1
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, seconds: float, connections: int) -> Result:
    """Asks `connections` at a time for so many seconds."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(BODY)}\r\n\r\n"
    )
    result = Result(seconds)
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    clients = [
        await loop.create_connection(lambda: _Client(head.encode() + BODY, result, until), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for _, client in clients))
    return result
