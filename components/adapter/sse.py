"""Server-sent events: those that are sent, and those that are read."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

DONE = b"data: [DONE]\n\n"
"""The end of a stream of OpenAI's."""


def event(data: object) -> bytes:
    """An event without a name, as OpenAI sends it."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


@dataclass(frozen=True)
class Event:
    """An event that was read."""

    name: str
    data: str


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Event]:
    """The events of a stream, as WHATWG's HTML standard has them; one that is not ended is left out."""
    name, data = "", list[str]()
    async for line in _lines(chunks):
        if not line:
            if data:
                yield Event(name or "message", "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """Lines that end as these streams end them; the other ends of lines that Unicode knows are part of a text."""
    pending = b""
    async for chunk in chunks:
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")
