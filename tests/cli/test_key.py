"""`corral key`."""

from __future__ import annotations

import io
import sys
from hashlib import sha256

import pytest

from corral.config.tenants import Tenant
from tests.cli.conftest import Corral

pytestmark = pytest.mark.usefixtures("project")


def test_a_new_key_is_alone_on_standard_output_and_its_hash_ready_for_the_stack_file(corral: Corral):
    said = corral("key", "new", "support-desk", "--stack", "prod")
    key = said.out.strip()
    digest = sha256(key.encode()).hexdigest()
    assert (said.status, said.out, len(key)) == (0, f"{key}\n", 53)
    assert said.err == (
        "This key of support-desk is shown this once. Its hash belongs into stacks/Pulumi.prod.yaml, beside those of "
        "keys\n"
        "that are to stay good:\n\n"
        "  corral:tenants:\n"
        "    support-desk:\n"
        f"      keys: [sha256:{digest}]\n\n"
        "Or give the key itself: to corral serve in CORRAL_TENANT_SUPPORT_DESK_KEYS, to the kubernetes engine with\n"
        "pulumi config set --secret --path 'corral:tenantKeys.support-desk' -s prod\n"
    )
    assert Tenant(keys=[f"sha256:{digest}"])


def test_every_key_is_another_one(corral: Corral):
    assert len({corral("key", "new", "search").out for _ in range(5)}) == 5


def test_a_name_that_no_tenant_has_is_refused(corral: Corral):
    said = corral("key", "new", "Search")
    assert (said.status, said.out) == (2, "")
    assert '"Search" is not a tenant\'s name: lower-case letters, digits and -, at most 63 characters' in said.err


def given(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))


def test_a_key_that_is_there_is_hashed(corral: Corral, monkeypatch: pytest.MonkeyPatch):
    given(monkeypatch, b"sk-corral-0123456789\n")
    want = f"sha256:{sha256(b'sk-corral-0123456789').hexdigest()}\n"
    assert corral("key", "hash") == (0, want, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "the key has characters that no client can send in a header"),
        (b"NEVER", "the key has fewer than 16 characters, which can be guessed"),
        (b"NEVER in two words, of all things", "the key has characters that no client can send in a header"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_what_cannot_be_a_key_is_not_hashed(corral: Corral, monkeypatch: pytest.MonkeyPatch, text: bytes, why: str):
    given(monkeypatch, text)
    said = corral("key", "hash")
    assert (said.status, said.out) == (2, "")
    assert why in " ".join(said.err.split())
    assert "NEVER" not in said.err


@pytest.mark.usefixtures("project")
def test_a_key_that_nobody_made_is_not_shown(corral: Corral):
    said = corral("key", "show", "search")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("No key was made for search here: corral serve makes one")
