"""SHA-256 as the module computes it."""

from __future__ import annotations

import ctypes
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.module.worker import Worker, text

WORKER = Worker()


def sha256(data: bytes) -> bytes:
    out = ctypes.create_string_buffer(32)
    WORKER.library.sha256(text(data), out)
    return out.raw


@pytest.mark.parametrize("length", [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1_000])
def test_the_hash_is_right_around_the_ends_of_blocks(length: int) -> None:
    assert sha256(b"\xff" * length) == hashlib.sha256(b"\xff" * length).digest()


@given(st.binary(max_size=300))
def test_the_hash_is_that_of_hashlib(data: bytes) -> None:
    assert sha256(data) == hashlib.sha256(data).digest()
