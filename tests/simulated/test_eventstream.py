"""The binary framing, read by botocore."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from corral.simulated import bedrock as eventstream


def read(*chunks: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    read: list[tuple[dict[str, Any], bytes]] = []
    for chunk in chunks:
        buffer.add_data(chunk)
        read += [(message.headers, message.payload) for message in buffer]
    return read


STREAM = eventstream.event("messageStart", {"role": "ä"}) + eventstream.exception("throttlingException", "slow down")
WANT = [
    (
        {":event-type": "messageStart", ":content-type": "application/json", ":message-type": "event"},
        b'{"role":"\\u00e4"}',
    ),
    (
        {":exception-type": "throttlingException", ":content-type": "application/json", ":message-type": "exception"},
        b'{"message":"slow down"}',
    ),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_messages_are_what_botocore_reads_however_they_are_cut(cuts: list[int]):
    chunks = [STREAM[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert read(*chunks) == WANT


@given(st.integers(12, len(STREAM) - 1))
def test_a_wrong_byte_is_noticed(place: int):
    wrong = STREAM[:place] + bytes([STREAM[place] ^ 1]) + STREAM[place + 1 :]
    try:
        found = read(wrong)
    except ChecksumMismatch:
        return
    assert len(found) < len(WANT), "a length was wrong, and the message is not there yet"


@pytest.mark.parametrize("said", [{}, {"text": "x" * 100_000}])
def test_a_payload_may_be_of_any_length(said: dict[str, str]):
    ((headers, payload),) = read(eventstream.event("contentBlockDelta", said))
    assert headers[":event-type"] == "contentBlockDelta"
    assert payload.startswith(b"{")
