"""Server-sent events as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.adapter.openai import Event, read_events

STREAM = (
    b"event: output\nid: 1\ndata: hello\n\n: a comment\n\nevent: output\ndata: two\ndata:  lines\n\ndata: x\r\n\r\n"
)
WANT = [Event("output", "hello"), Event("output", "two\n lines"), Event("message", "x")]


def read(*chunks: bytes) -> list[Event]:
    async def come() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[Event]:
        return [event async for event in read_events(come())]

    return asyncio.run(collect())


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]):
    chunks = [STREAM[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert read(*chunks) == WANT


@pytest.mark.parametrize("text", ["a\u2028b", "a\x0bb", "a\x85b", "ä🦙"])
def test_only_what_ends_a_line_there_ends_a_line(text: str):
    assert read(f"data: {text}\n\n".encode()) == [Event("message", text)]


def test_an_event_that_is_not_ended_is_none():
    assert read(b"data: a\n\ndata: b\n") == [Event("message", "a")]
