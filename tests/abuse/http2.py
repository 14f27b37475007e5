"""As much of HTTP/2 (RFC 9113) as a client needs that begins with it, without having asked."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 0, 1, 3, 4, 7, 9
END_STREAM, END_HEADERS = 1, 4

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(text: str) -> bytes:
    data = text.encode()
    assert len(data) < 127
    return bytes([len(data)]) + data


def fields(headers: Mapping[str, str]) -> bytes:
    """A block of header fields (RFC 7541, literals that are not indexed)."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())


def frames(stream: BinaryIO) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of what comes, until the end."""
    while len(head := stream.read(9)) == 9:
        kind, flags, number = struct.unpack(">BBI", head[3:])
        yield kind, flags, number, stream.read(int.from_bytes(head[:3], "big"))
