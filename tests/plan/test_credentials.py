"""What tenants of a cluster prove who they are with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corral.plan.callers import Issuer
from corral.plan.credentials import CallerCredentials, InvalidCredentialError, caller_credentials
from corral.testing import NEVER

OLD, NEW = f"{NEVER}-old-0123456789", f"{NEVER}-new-0123456789"


def in_file(name: str) -> Issuer:
    return Issuer("https://in.the.cluster", ("corral",), None, name, "sub")


def test_a_stack_without_keys_and_files_has_nothing_to_give(tmp_path: Path):
    at_url = Issuer("https://login.example.com/", ("corral",), "https://login.example.com/keys", None, "sub")
    assert caller_credentials(None, (at_url,), tmp_path) == CallerCredentials({}, {})


def test_keys_are_given_alone_or_in_lists_and_public_keys_in_files(tmp_path: Path):
    (tmp_path / "keys.json").write_text('{"keys": []}')
    given = json.dumps({"support": NEW[:30] + "x", "search": [OLD, NEW]})
    assert caller_credentials(given, (in_file("keys.json"),), tmp_path) == CallerCredentials(
        {"search": (OLD, NEW), "support": (NEW[:30] + "x",)}, {"https://in.the.cluster": '{"keys": []}'}
    )


def test_keys_are_never_shown(tmp_path: Path):
    assert NEVER not in repr(caller_credentials(json.dumps({"search": OLD}), (), tmp_path))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"search": "short"},
            (
                "corral:tenantKeys.search: a key has fewer than 16 characters, which can be guessed: "
                "make one with `corral key new`"
            ),
        ),
        (
            {"search": [OLD, f"{NEVER} with spaces in it"]},
            (
                "corral:tenantKeys.search: a key has characters that no client can send in a header: letters, "
                "digits and -._~+/ can be: make one with `corral key new`"
            ),
        ),
        (
            {"search": [OLD], "support": [NEW, OLD]},
            "corral:tenantKeys.support: a key that search has already: give each key once",
        ),
    ],
    ids=["short", "spaces", "twice"],
)
def test_a_key_that_cannot_be_one_is_refused_with_the_way_out_and_not_said(
    given: dict[str, Any], message: str, tmp_path: Path
):
    with pytest.raises(InvalidCredentialError) as refused:
        caller_credentials(json.dumps(given), (), tmp_path)
    assert str(refused.value) == message


@pytest.mark.parametrize("content", [None, "no JSON"])
def test_a_file_without_public_keys_is_refused(content: str | None, tmp_path: Path):
    if content is not None:
        (tmp_path / "keys.json").write_text(content)
    with pytest.raises(InvalidCredentialError) as refused:
        caller_credentials(None, (in_file("keys.json"),), tmp_path)
    assert str(refused.value) == (
        f"corral:issuers: jwksFile of https://in.the.cluster names {tmp_path.resolve() / 'keys.json'}, which is not a "
        "file of JSON"
    )
