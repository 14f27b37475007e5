"""The binary framing of AWS's event streams, `application/vnd.amazon.eventstream`.

A message is its length and that of its headers, a CRC of these two, the headers, the payload, and a CRC of all before
it; numbers are big-endian, CRCs CRC-32.  A header is its name's length and name, a type, and its value: 7 is a text,
with its length before it.  Source: smithy.io, the Amazon event stream specification.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping

from components.simulated.asked import to_json

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_TEXT = 7


def event(name: str, said: Mapping[str, object]) -> bytes:
    """A message with an event."""
    return _message({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, said)


def exception(name: str, message: str) -> bytes:
    """A message with an exception, after which nothing comes; its name begins with a small letter."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return _message(headers, {"message": message})


def _message(headers: Mapping[str, str], said: Mapping[str, object]) -> bytes:
    head, payload = b"".join(_header(name, value) for name, value in headers.items()), to_json(said)
    lengths = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = lengths + struct.pack(">I", crc32(lengths)) + head + payload
    return message + struct.pack(">I", crc32(message))


def _header(name: str, value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _TEXT, len(encoded)) + encoded
