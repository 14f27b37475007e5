"""Azure Resource Manager, read with the credentials that Pulumi's provider would take: a service principal's in
`ARM_…`, else those of the Azure CLI.

The token is in no message, and goes to no host but `management.azure.com`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from corral.hosts.azure.entra import of_cli, of_principal
from corral.hosts.probing import HostError, answer

_URL = "https://management.azure.com"
_TIMEOUT_SECONDS = 20.0
_ACTION = re.compile(r"perform action '([\w./]+)'")
"""In Azure's refusals (`AuthorizationFailed`)."""


@dataclass(frozen=True)
class SignedIn:
    """Who asks."""

    token: str = field(repr=False)
    subscription: str


def sign_in(environment: Mapping[str, str], transport: httpx.BaseTransport | None = None) -> SignedIn:
    """Raises HostError, unknown, where there are no credentials."""
    names = ("ARM_CLIENT_ID", "ARM_CLIENT_SECRET", "ARM_TENANT_ID", "ARM_SUBSCRIPTION_ID")
    client_id, secret, tenant, subscription = (environment.get(name) for name in names)
    if not (client_id and secret and tenant and subscription):
        return _of_the_cli(subscription)
    form = {"client_id": client_id, "client_secret": secret}
    way_out = "correct ARM_CLIENT_ID, ARM_CLIENT_SECRET and ARM_TENANT_ID"
    given = of_principal(tenant, form, f"{_URL}/.default", transport, way_out)
    return SignedIn(given["access_token"], subscription)


def _of_the_cli(subscription: str | None) -> SignedIn:
    way_out = "sign in with the Azure CLI (az login), or set ARM_CLIENT_ID and what belongs to it"
    of_subscription = ["--subscription", subscription] if subscription else []
    given = of_cli("--resource", f"{_URL}/", *of_subscription, way_out=way_out)
    return SignedIn(given["accessToken"], given["subscription"])


class Manager:
    """What the credentials may read of their subscription."""

    def __init__(self, signed_in: SignedIn, transport: httpx.BaseTransport | None = None) -> None:
        self.subscription = signed_in.subscription
        self._client = httpx.Client(
            base_url=_URL,
            headers={"authorization": f"Bearer {signed_in.token}"},
            timeout=_TIMEOUT_SECONDS,
            transport=transport,
        )

    def read(self, path: str, version: str, **query: str) -> dict[str, Any]:
        """The resource below the subscription, or at its own id.  Raises HostError."""
        base = "" if path.startswith("/subscriptions/") else f"/subscriptions/{self.subscription}"
        return self._read(httpx.URL(f"{_URL}{base}{path}", params={**query, "api-version": version}))

    def list(self, path: str, version: str, **query: str) -> list[dict[str, Any]]:
        """All pages.  Raises HostError."""
        return [*self._pages(self.read(path, version, **query))]

    def _pages(self, page: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from page["value"]
        if (more := page.get("nextLink")) and more.startswith(f"{_URL}/"):
            yield from self._pages(self._read(httpx.URL(more)))

    def _read(self, url: httpx.URL) -> dict[str, Any]:
        try:
            response = answer(self._client, url)
        except HostError:
            raise HostError("unknown", "Azure does not answer: see whether it is in reach from here") from None
        match response.status_code:
            case 200:
                return response.json()
            case 401:
                raise HostError("refused", "Azure refuses the token (HTTP 401): sign in again (az login)")
            case 403:
                action = _ACTION.search(response.text)
                allow = f"allow {action[1]}" if action else "give them the role Reader on the subscription"
                raise HostError("unknown", f"these Azure credentials may not ask: {allow}")
            case status:
                raise HostError("unknown", f"Azure answers HTTP {status} to {url.path.rpartition('/')[2]}")
