"""What tenants of a cluster prove who they are with, beside the keys that are made for them: keys that the stack gives,
encrypted, and the public keys of issuers that lie in files.

A key that no client can send, or that two tenants have, is refused here.  Envoy Gateway would take the whole policy for
invalid, and the Gateway would answer every request with 500.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.config.errors import TENANT_SECRETS
from components.plan.plan import Issuer
from components.tenants.keys import UnfitKeyError, hash_of


class UnfitProofError(Exception):
    """A key that cannot be one, or a file that has no public keys; the message never has the key."""


@dataclass(frozen=True)
class Proofs:
    """By tenant, and by issuer."""

    keys: Mapping[str, tuple[str, ...]] = field(repr=False)
    """API keys in plain, in the order of the stack, of those tenants that were given any."""
    issuers: Mapping[str, str]
    """Public keys (JWKS, as text), of those issuers that have them in a file."""


def proofs(decrypted: str | None, issuers: tuple[Issuer, ...], folder: Path) -> Proofs:
    """`decrypted`: `corral:tenantKeys` as Pulumi gives it, each key alone or in a list; `folder`: of the stack file.

    Raises UnfitProofError.
    """
    return Proofs(_given(json.loads(decrypted or "{}")), public_keys(issuers, folder))


def _given(said: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    given = {tenant: (keys,) if isinstance(keys, str) else tuple(keys) for tenant, keys in sorted(said.items())}
    owners: dict[str, str] = {}
    for tenant, keys in given.items():
        for key in keys:
            try:
                digest = hash_of(key)
            except UnfitKeyError as error:
                way_out = "make one with `corral key new`"
                raise UnfitProofError(f"{TENANT_SECRETS}.{tenant}: a key {error}: {way_out}") from None
            if digest in owners:
                place = f"{TENANT_SECRETS}.{tenant}"
                raise UnfitProofError(f"{place}: a key that {owners[digest]} has already: give each key once")
            owners[digest] = tenant
    return given


def public_keys(issuers: tuple[Issuer, ...], folder: Path) -> dict[str, str]:
    """Per issuer whose keys lie in a file what is in it; files are relative to the folder.  Raises UnfitProofError."""
    found: dict[str, str] = {}
    for issuer in issuers:
        if issuer.jwks_file is None:
            continue
        path = (folder / issuer.jwks_file).resolve()
        try:
            found[issuer.issuer] = path.read_text()
            json.loads(found[issuer.issuer])
        except (OSError, ValueError):
            reason = f"jwksFile of {issuer.issuer} names {path}, which is not a file of JSON"
            raise UnfitProofError(f"corral:issuers: {reason}") from None
    return found
