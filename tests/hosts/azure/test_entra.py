"""Tokens of Entra: how they are asked for, and when another one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from corral.hosts.azure.entra import SCOPE, Token, Tokens, token
from corral.hosts.probing import HostError

PRINCIPAL = {"AZURE_TENANT_ID": "the-tenant", "AZURE_CLIENT_ID": "the-client"}
SECRET = {**PRINCIPAL, "AZURE_CLIENT_SECRET": "NEVER"}


def asked(environment: dict[str, str], status: int = 200) -> tuple[Token, dict[str, Any]]:
    """The token that comes of it, and what was sent for it."""
    seen: dict[str, Any] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen.update({key: value[0] for key, value in parse_qs(request.content.decode()).items()}, url=str(request.url))
        return httpx.Response(status, json={"access_token": "a-token", "expires_in": 3600, "error": "NEVER"})

    return token(environment, httpx.MockTransport(answer), lambda: 1_000.0), seen


def test_a_service_principals_secret_gets_a_token():
    given, seen = asked(SECRET)
    assert given == Token("a-token", 4_600.0)
    assert seen == {
        "url": "https://login.microsoftonline.com/the-tenant/oauth2/v2.0/token",
        "grant_type": "client_credentials",
        "client_id": "the-client",
        "client_secret": "NEVER",
        "scope": SCOPE,
    }
    assert "a-token" not in repr(given)


def test_a_federated_token_is_read_anew_and_proves_the_principal(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("a-jwt\n")
    _, seen = asked({**PRINCIPAL, "AZURE_FEDERATED_TOKEN_FILE": str(file)})
    assert (seen["client_assertion"], seen["client_assertion_type"]) == (
        "a-jwt",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    )
    with pytest.raises(HostError) as unreadable:
        asked({**PRINCIPAL, "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "none")})
    assert unreadable.value.judgement == (
        "unknown", "AZURE_FEDERATED_TOKEN_FILE cannot be read: No such file or directory"
    )  # fmt: skip


def test_a_refusal_names_the_way_out_and_no_secret():
    with pytest.raises(HostError) as refused:
        asked(SECRET, 401)
    why = (
        "Azure gives the service principal no token (HTTP 401): correct AZURE_TENANT_ID, AZURE_CLIENT_ID and "
        "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE"
    )
    assert refused.value.judgement == ("refused", why)


def test_without_a_principal_the_azure_cli_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    command = tmp_path / "az"
    answer = '{"accessToken": "a-token", "expires_on": 5000}'
    command.write_text(f"#!/bin/sh\necho '{answer}'\necho $* > {tmp_path}/asked\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert token({}) == Token("a-token", 5_000.0)
    assert (tmp_path / "asked").read_text() == f"account get-access-token --scope {SCOPE} --output json\n"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(HostError) as missing:
        token({})
    assert missing.value.judgement[1].startswith(
        "there are no Azure credentials to ask with: sign in with the Azure CLI"
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_renewed_half_way_to_its_end_and_serves_on_where_that_fails():
    clock, answers, asks = Clock(), [Token("first", 3_600), Token("second", 5_400)], 0

    def ask() -> Token:
        nonlocal asks
        asks += 1
        if 1_800 <= clock.now < 1_860 or clock.now >= 3_630:
            raise HostError("unknown", "Azure does not answer")
        return answers[0 if clock.now == 0 else 1]

    tokens = Tokens(ask, clock)
    assert (tokens.renew(), tokens.current, asks) == (None, "", 0)  # no host takes one
    assert (tokens.get(), tokens.get(), asks) == ("first", "first", 1)
    clock.now = 1_799
    assert (tokens.renew(), asks) == (None, 1)
    clock.now = 1_800
    why = "There is no new token of Entra: Azure does not answer. The one before serves until it expires."
    assert (tokens.renew(), tokens.get(), tokens.is_late) == (why, "first", True)
    clock.now = 1_829
    assert (tokens.renew(), asks) == (None, 2)  # not at once again
    clock.now = 1_860
    assert (tokens.renew(), tokens.get(), tokens.is_late) == (None, "second", False)
    clock.now = 5_401
    why = "There is no new token of Entra: Azure does not answer. The one before has expired, and Azure refuses it."
    assert (tokens.renew(), tokens.get()) == (why, "second")
