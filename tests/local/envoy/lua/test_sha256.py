"""SHA-256 as the scripts compute it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.envoy.lua.worker import Worker

SCRIPTS = Worker(functions=["sha256"])


@pytest.mark.parametrize("length", [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1_000])
def test_the_hash_is_right_around_the_ends_of_blocks(length: int) -> None:
    assert SCRIPTS.call("sha256", b"\xff" * length) == hashlib.sha256(b"\xff" * length).hexdigest().encode()


@given(st.binary(max_size=300))
def test_the_hash_is_that_of_hashlib(text: bytes) -> None:
    assert SCRIPTS.call("sha256", text) == hashlib.sha256(text).hexdigest().encode()
