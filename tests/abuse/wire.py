"""HTTP/1.1 as bytes: what no client library would send, and what comes back."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

PATIENCE = 30.0

CHAT = b"POST /v1/chat/completions HTTP/1.1"
ASKED = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'


def request(
    key: str,
    *headers: bytes,
    body: bytes = ASKED,
    line: bytes = CHAT,
    host: bytes | None = b"gateway",
    length: bool = True,
    content_type: bytes | None = b"application/json",
) -> bytes:
    """A request that is good but for what is told otherwise."""
    lines = [
        line,
        *([b"Host: " + host] if host is not None else []),
        b"Authorization: Bearer " + key.encode(),
        *([b"Content-Type: " + content_type] if content_type is not None else []),
        *([b"Content-Length: %d" % len(body)] if length else []),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(body: bytes = ASKED, *trailers: bytes) -> bytes:
    """A body in one chunk."""
    return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, b"".join(trailer + b"\r\n" for trailer in trailers))


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """Of an error in OpenAI's shape, which this must then be; None: it is none."""
        assert self.headers["content-type"] == "application/json"
        document: dict[str, Any] = json.loads(self.body)
        if self.status < 400:
            return None
        error: dict[str, Any] = document["error"]
        assert error.keys() == {"message", "type", "code", "param"}
        assert error["message"]
        assert error["type"] in {"invalid_request_error", "authentication_error", "permission_error", "requests"}
        return error["code"]


def read_answer(stream: BinaryIO) -> Answer | None:
    """The next answer on a connection; None: it has ended."""
    try:
        first = stream.readline()
        headers: dict[str, str] = {}
        while (line := stream.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = re.match(rb"HTTP/1\.[01] (\d{3}) ", first)
        if not status:
            assert first == b"", first
            return None
        if status[1] == b"100":
            return read_answer(stream)
        return Answer(int(status[1]), headers, stream.read(int(headers.get("content-length", 0))))
    except ConnectionError:
        return None


def connect(port: int, receive_buffer: int | None = None) -> socket.socket:
    """A connection to the gateway."""
    found = socket.socket()
    found.settimeout(PATIENCE)
    if receive_buffer is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    found.connect(("127.0.0.1", port))
    return found


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except ConnectionError:
        return  # refused before it was read to its end: the answer says why


def answers(port: int, data: bytes, *, at_once: bool = False) -> Sequence[Answer]:
    """Everything that comes back for these bytes on one connection, which is closed for sending after the first answer,
    or `at_once`."""
    with connect(port) as connection, connection.makefile("rb") as stream:
        _send(connection, data)
        found: list[Answer] = []
        closed = False
        while True:
            if at_once and not closed:
                closed = True
                _close_for_sending(connection)
            answer = read_answer(stream)
            if answer is None:
                return found
            found.append(answer)
            if not closed:
                closed = True
                _close_for_sending(connection)


def _close_for_sending(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the gateway was quicker


def answer(port: int, data: bytes) -> Answer:
    """The only answer to these bytes."""
    (found,) = answers(port, data)
    return found
