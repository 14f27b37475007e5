"""A host that keeps what it is sent, byte for byte, and streams without end when it is asked for a stream."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

_ANSWER = b'{"choices":[{"message":{"content":"recorded"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
_EVENT = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"y" * 10_000)


@dataclass(frozen=True)
class Recorded:
    """One request."""

    line: bytes
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """The host."""

    port: int
    requests: list[Recorded] = field(default_factory=list)
    streaming: set[int] = field(default_factory=set)
    """The connections on which it streams, by their number."""
    streamed: int = 0
    """Bytes that were taken from it of streams."""
    taken_at: float = 0.0
    """When the latest of them were, on the monotonic clock."""

    @property
    def waits(self) -> bool:
        """Whether nothing is taken from it, though it streams."""
        return bool(self.streaming) and time.monotonic() - self.taken_at > 0.5

    def serve(self, number: int, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            while (asked := _read(stream)) is not None:
                self.requests.append(asked)
                if b'"stream":true' in asked.body:
                    self._stream(number, connection)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(_ANSWER), _ANSWER)
                )

    def _stream(self, number: int, connection: socket.socket) -> None:
        self.streaming.add(number)
        try:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            while True:
                connection.sendall(b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT))
                self.streamed += len(_EVENT)
                self.taken_at = time.monotonic()
        finally:
            self.streaming.discard(number)


def _read(stream: BinaryIO) -> Recorded | None:
    line = stream.readline()
    if not line:
        return None
    headers: dict[str, str] = {}
    while (header := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name] = value.strip()
    return Recorded(line.strip(), headers, stream.read(int(headers["content-length"])))


@contextmanager
def recorder() -> Iterator[Recorder]:
    """Serves on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = Recorder(server.getsockname()[1])

        def accept() -> None:
            number = 0
            with suppress(OSError):
                while True:
                    number += 1
                    connection, _ = server.accept()
                    threading.Thread(target=host.serve, args=(number, connection), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield host
        server.shutdown(socket.SHUT_RDWR)
        accepting.join()
