"""By what the gateway knows its callers: API keys and their hashes, and the public keys of issuers of tokens.

A key is made of 32 random bytes, so that plain SHA-256 keeps it: there is nothing to guess that a slow hash would make
slower.  A key that was made elsewhere is taken if a client can send it in a header and it is not all too short.

On a cluster a tenant has, beside the key that is made for it, those that the stack gives, encrypted; an issuer's public
keys may lie in a file.  A key that no client can send, or that two tenants have, is refused here.  Envoy Gateway would
take the whole policy for invalid, and the Gateway would answer every request with 500.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from corral.config.problems import TENANT_SECRETS
from corral.plan.callers import Issuer

PREFIX = "sk-corral-"
"""By this, scanners for leaked secrets can tell a key."""

KEY_BYTES = 32
"""Of randomness in a key."""

_LEAST = 16
_MOST = 512
"""Characters."""

_SENT = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token (RFC 6750, section 2.1)."""


class InvalidKeyError(ValueError):
    """What cannot be an API key; the message says why, as a predicate, and never the key."""


def key_of(random: bytes) -> str:
    """`sk-corral-` and 43 characters, of `KEY_BYTES` random bytes."""
    return PREFIX + urlsafe_b64encode(random).decode().rstrip("=")


def hash_of(key: str) -> str:
    """SHA-256 in hexadecimal.  Raises InvalidKeyError."""
    if not _SENT.fullmatch(key):
        raise InvalidKeyError("has characters that no client can send in a header: letters, digits and -._~+/ can be")
    if len(key) < _LEAST:
        raise InvalidKeyError(f"has fewer than {_LEAST} characters, which can be guessed")
    if len(key) > _MOST:
        raise InvalidKeyError(f"has more than {_MOST} characters, and the gateway looks at none that is longer")
    return sha256(key.encode()).hexdigest()


def in_stack(digest: str) -> str:
    """The hash as it stands in a stack file: `sha256:…`."""
    return f"sha256:{digest}"


class InvalidCredentialError(Exception):
    """A key that cannot be one, or a file that has no public keys; the message never has the key."""


@dataclass(frozen=True)
class CallerCredentials:
    """By tenant, and by issuer."""

    keys: Mapping[str, tuple[str, ...]] = field(repr=False)
    """API keys in plain, in the order of the stack, of those tenants that were given any."""
    issuers: Mapping[str, str]
    """Public keys (JWKS, as text), of those issuers that have them in a file."""


def caller_credentials(decrypted: str | None, issuers: tuple[Issuer, ...], folder: Path) -> CallerCredentials:
    """`decrypted`: `corral:tenantKeys` as Pulumi gives it, each key alone or in a list; `folder`: of the stack file.

    Raises InvalidCredentialError.
    """
    return CallerCredentials(_given(json.loads(decrypted or "{}")), public_keys(issuers, folder))


def _given(decrypted: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    given = {tenant: (keys,) if isinstance(keys, str) else tuple(keys) for tenant, keys in sorted(decrypted.items())}
    owners: dict[str, str] = {}
    for tenant, keys in given.items():
        for key in keys:
            try:
                digest = hash_of(key)
            except InvalidKeyError as error:
                way_out = "make one with `corral key new`"
                raise InvalidCredentialError(f"{TENANT_SECRETS}.{tenant}: a key {error}: {way_out}") from None
            if digest in owners:
                place = f"{TENANT_SECRETS}.{tenant}"
                raise InvalidCredentialError(f"{place}: a key that {owners[digest]} has already: give each key once")
            owners[digest] = tenant
    return given


def public_keys(issuers: tuple[Issuer, ...], folder: Path) -> dict[str, str]:
    """By issuer the text of its file of keys; files are relative to the folder.  Raises InvalidCredentialError."""
    keys_of: dict[str, str] = {}
    for issuer in issuers:
        if issuer.jwks_file is None:
            continue
        path = (folder / issuer.jwks_file).resolve()
        try:
            keys_of[issuer.issuer] = path.read_text()
            json.loads(keys_of[issuer.issuer])
        except (OSError, ValueError):
            reason = f"jwksFile of {issuer.issuer} names {path}, which is not a file of JSON"
            raise InvalidCredentialError(f"corral:issuers: {reason}") from None
    return keys_of
