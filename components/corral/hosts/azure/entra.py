"""Tokens of Microsoft Entra, with the credentials of this machine: a service principal's secret or federated token, in
the variables that Microsoft's own libraries read, else whoever has signed in with the Azure CLI.

Two requests are all that it takes, so that no library of Microsoft's is needed.  The scope is that of Azure's hosts of
models, the `v1` endpoints included.  A token is in no message; it is renewed after half of its life, and serves on
until it expires where that fails.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from corral.hosts.probing import HostError

SCOPE = "https://cognitiveservices.azure.com/.default"
WAY_OUT = (
    "sign in with the Azure CLI (az login), or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or "
    "AZURE_FEDERATED_TOKEN_FILE"
)

_SIGN_IN = "https://login.microsoftonline.com"
_TIMEOUT_SECONDS = 20.0
_RETRY_SECONDS = 30.0
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True)
class Token:
    """One that is good until then."""

    value: str = field(repr=False)
    expires: float
    """Seconds since 1970."""


def of_principal(
    tenant: str, form: Mapping[str, str], scope: str, transport: httpx.BaseTransport | None, way_out: str
) -> dict[str, Any]:
    """Entra's answer with the token of a service principal, which `form` proves.  Raises HostError."""
    try:
        with httpx.Client(transport=transport, timeout=_TIMEOUT_SECONDS) as client:
            data = {"grant_type": "client_credentials", **form, "scope": scope}
            given = client.post(f"{_SIGN_IN}/{tenant}/oauth2/v2.0/token", data=data)
    except httpx.HTTPError as error:
        raise HostError("unknown", f"Azure cannot be asked for a token ({type(error).__name__})") from None
    if given.status_code != 200:
        raise HostError("refused", f"Azure gives the service principal no token (HTTP {given.status_code}): {way_out}")
    return given.json()


def of_cli(*arguments: str, way_out: str) -> dict[str, Any]:
    """The Azure CLI's answer with a token.  Raises HostError."""
    command = ["az", "account", "get-access-token", *arguments, "--output", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS * 3, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise HostError("unknown", f"there are no Azure credentials to ask with: {way_out}") from None
    if done.returncode:
        raise HostError("unknown", "the Azure CLI has no token: sign in (az login)")
    return json.loads(done.stdout)


def token(
    environment: Mapping[str, str],
    transport: httpx.BaseTransport | None = None,
    clock: Callable[[], float] = time.time,
) -> Token:
    """A new one.  Raises HostError where there are no credentials, or Entra gives none for them."""
    tenant, client = environment.get("AZURE_TENANT_ID"), environment.get("AZURE_CLIENT_ID")
    secret, file = environment.get("AZURE_CLIENT_SECRET"), environment.get("AZURE_FEDERATED_TOKEN_FILE")
    if not (tenant and client and (secret or file)):
        given = of_cli("--scope", SCOPE, way_out=WAY_OUT)
        return Token(given["accessToken"], float(given["expires_on"]))
    if secret:
        proof = {"client_secret": secret}
    else:
        try:
            assertion = Path(file or "").read_text(encoding="utf-8").strip()
        except OSError as error:
            raise HostError("unknown", f"AZURE_FEDERATED_TOKEN_FILE cannot be read: {error.strerror}") from None
        proof = {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
    way_out = "correct AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE"
    given = of_principal(tenant, {"client_id": client, **proof}, SCOPE, transport, way_out)
    return Token(given["access_token"], clock() + float(given["expires_in"]))


class Tokens:
    """The token of a run, for all hosts that take one."""

    def __init__(self, ask: Callable[[], Token], clock: Callable[[], float] = time.time) -> None:
        self._ask, self._clock = ask, clock
        self._token: Token | None = None
        self._due = 0.0
        self._late = False

    @property
    def current(self) -> str:
        """The last one; empty: nobody has asked for any."""
        return self._token.value if self._token else ""

    @property
    def is_late(self) -> bool:
        """Whether another one was due, and could not be had."""
        return self._late

    @property
    def is_due(self) -> bool:
        """Whether the present one is half way to its end."""
        return self._token is not None and self._clock() >= self._due

    def get(self) -> str:
        """The last one, which may have expired where there was no other to be had; the first one is asked for.

        Raises HostError.
        """
        return (self._token or self._renewed()).value

    def renew(self) -> str | None:
        """Gets another one where that is due; why it could not, None otherwise."""
        if self._token is None or not self.is_due:
            return None
        expires = self._token.expires
        try:
            self._renewed()
        except HostError as error:
            now = self._clock()
            self._due, self._late = now + _RETRY_SECONDS, True
            good = "serves until it expires" if now < expires else "has expired, and Azure refuses it"
            return f"There is no new token of Entra: {error.judgement[1]}. The one before {good}."
        return None

    def _renewed(self) -> Token:
        self._token, now = self._ask(), self._clock()
        self._due, self._late = now + (self._token.expires - now) / 2, False
        return self._token
