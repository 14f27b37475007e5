"""What an answer of Bedrock's means, and what it means that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from components.hosts.verdict import Outcome

Said = tuple[Outcome, str]
"""An outcome and why."""

ABSENT = ("ResourceNotFoundException", "ValidationException")
"""Bedrock calls an id that it does not know invalid as often as not found."""

_BAD_CREDENTIALS = (
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
)


def error_code(error: Exception) -> str:
    """The name that AWS gave a botocore ClientError."""
    response: Mapping[str, Any] = getattr(error, "response", {})
    return response.get("Error", {}).get("Code", "an error without a name")


def failure(code: str, permissions: str, *, absent: Said) -> Said:
    """What an error of this code means; `absent` where it says that what was asked for is not there.

    `permissions` are the IAM actions that the question takes.
    """
    if code in ABSENT:
        return absent
    if code in _BAD_CREDENTIALS:
        return "refused", f"it refuses the AWS credentials ({code}): sign in again"
    if code == "AccessDeniedException":
        return "unknown", f"these AWS credentials may not ask: allow {permissions}"
    return "unknown", f"it answers {code}: try again later"


def lifecycle(details: Mapping[str, Any], now: datetime) -> Said:
    """What GetFoundationModel's `modelDetails` say of the model's life."""
    said: Mapping[str, Any] = details.get("modelLifecycle", {})
    end: datetime | None = said.get("endOfLifeTime")
    if end is not None and end <= now:
        return "refused", f"retired on {end.date()}"
    if said.get("status") == "LEGACY":
        return "allowed", f"legacy: retires on {end.date() if end else 'a day not yet named'}"
    return "allowed", "active"
