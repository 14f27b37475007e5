"""Keys that a request shows as they are: `Authorization: Bearer`, or `api-key`."""

from __future__ import annotations

import hmac

from components.simulated.dialect import Request
from components.simulated.hosts import SimulatedHost
from components.simulated.refusal import Refusal, no_credential, wrong_credential


def locked(host: SimulatedHost, request: Request) -> Refusal | None:
    """The refusal of a missing or wrong key; None: it is right, or the host wants none."""
    if host.key is None:
        return None
    scheme, _, bearer = request.header("authorization").partition(" ")
    given = [bearer.strip()] if scheme.lower() == "bearer" else []
    if host.header == "api-key":
        given.append(request.header("api-key"))
    if not any(given):
        return no_credential(host)
    right = any(hmac.compare_digest(key.encode(), host.key.encode()) for key in given)
    return None if right else wrong_credential()
