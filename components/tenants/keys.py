"""An API key of a tenant, and the hash by which it is known.

A key is made of 32 random bytes, so that plain SHA-256 keeps it: there is nothing to guess that a slow hash would make
slower.  A key that was made elsewhere is taken if a client can send it in a header and it is not all too short.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

PREFIX = "sk-corral-"
"""By this, scanners for leaked secrets can tell a key."""

_BYTES = 32

_LEAST = 16
_MOST = 512
"""Characters."""

_SENT = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token (RFC 6750, section 2.1)."""


class UnfitKeyError(ValueError):
    """What cannot be an API key; the message says why, as a predicate, and never the key."""


def new_key() -> str:
    """`sk-corral-` and 43 characters."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def hash_of(key: str) -> str:
    """SHA-256 in hexadecimal.  Raises UnfitKeyError."""
    if not _SENT.fullmatch(key):
        raise UnfitKeyError("has characters that no client can send in a header: letters, digits and -._~+/ can be")
    if len(key) < _LEAST:
        raise UnfitKeyError(f"has fewer than {_LEAST} characters, which can be guessed")
    if len(key) > _MOST:
        raise UnfitKeyError(f"has more than {_MOST} characters, and the gateway looks at none that is longer")
    return sha256(key.encode()).hexdigest()


def in_stack(digest: str) -> str:
    """The hash as it stands in a stack file: `sha256:…`."""
    return f"sha256:{digest}"
