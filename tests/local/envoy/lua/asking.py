"""Requests as clients send them, what the filter is told of who sends them, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from tests.local.envoy.lua.worker import NOW, Ran, Worker

KEY = "sk-corral-NEVER"
ISSUER = "https://login.example.com/"
JWT = "envoy.filters.http.jwt_authn"
MINUTE = 60_000_000


def context(claim: str = "sub", keys: Mapping[str, str] | None = None, **said: Any) -> dict[str, Any]:
    """What the filter is told of a tenant `search`."""
    return {
        "version": "1",
        "open": False,
        "model:m": True,
        "model:meta/llama:3": True,
        **{f"key:{sha256(key.encode()).hexdigest()}": tenant for key, tenant in (keys or {KEY: "search"}).items()},
        f"claim:{ISSUER}": claim,
        f"vouched:{ISSUER} team-search": "search",
        f"vouched:{ISSUER} 7": "search",
        "tenant:search": {"rate": {}, **said},
    }


def asked(
    body: Any = None,
    *,
    worker: Worker | None = None,
    told: Mapping[str, Any] | None = None,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    metadata: Mapping[str, Any] | None = None,
    now: int = NOW,
    **headers: str | bytes | None,
) -> Ran:
    """One request with a key; a header that is None is left out."""
    text = body if isinstance(body, bytes) else json.dumps({"model": "m"} if body is None else body).encode()
    sent = {":method": method, ":path": path, "authorization": f"Bearer {KEY}", "content-type": "application/json"}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return (worker or Worker()).request(
        {name: value for name, value in {**sent, **more}.items() if value is not None},
        context=told or context(),
        metadata=metadata,
        pieces=[text[:5], text[5:]],
        now=now,
    )


def error(ran: Ran) -> dict[str, Any]:
    said = json.loads(ran.answer)
    assert said.pop("type", "error") == "error"  # of Anthropic's
    assert set(said) == {"error"}
    assert set(said["error"]) == {"message", "type", "code", "param"}
    assert ran.sent["content-type"] == "application/json"
    assert not ran.rerouted
    return said["error"]


def refusal(ran: Ran) -> tuple[int | None, str, str]:
    said = error(ran)
    return ran.status, said["code"], said["message"]


def known(ran: Ran) -> Mapping[str, Any]:
    """What is remembered of a request."""
    return ran.metadata["corral"]["asked"]
