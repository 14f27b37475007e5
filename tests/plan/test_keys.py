"""API keys: random, sendable, and known by their hash alone."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from secrets import token_bytes

import pytest

from corral.config.tenants import Tenant
from corral.plan.credentials import KEY_BYTES, InvalidKeyError, hash_of, in_stack, key_of


def test_a_key_holds_32_random_bytes_after_its_prefix() -> None:
    keys = {key_of(token_bytes(KEY_BYTES)) for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        prefix, secret = key[: len("sk-corral-")], key[len("sk-corral-") :]
        assert (prefix, len(base64.urlsafe_b64decode(f"{secret}="))) == ("sk-corral-", 32)


def test_the_hash_of_a_key_is_taken_by_a_stack() -> None:
    key = key_of(token_bytes(KEY_BYTES))
    written = in_stack(hash_of(key))
    assert written == f"sha256:{sha256(key.encode()).hexdigest()}"
    assert Tenant(keys=[written]).keys == [written]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "has characters that no client can send in a header"),
        ("sixteen letters and spaces", "has characters that no client can send in a header"),
        ("schlüssel-schlüssel", "has characters that no client can send in a header"),
        ("two-of-them-here,two-of-them-here", "has characters that no client can send in a header"),
        ("line-after-line\n", "has characters that no client can send in a header"),
        ("fifteen-letters", "has fewer than 16 characters"),
    ],
)
def test_what_cannot_be_a_key_is_refused_without_showing_it(key: str, why: str) -> None:
    with pytest.raises(InvalidKeyError, match=why) as refused:
        hash_of(key)
    assert not key or key not in str(refused.value)


def test_a_key_that_was_made_elsewhere_is_taken() -> None:
    assert re.fullmatch("[0-9a-f]{64}", hash_of("c29tZXRoaW5nIGVsc2U="))
