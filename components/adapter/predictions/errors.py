"""What Replicate refuses, and what goes wrong on the way to it, as errors of OpenAI's shape.

Its own errors are `{"detail": ...}`.  An account without credit (402) is out of quota as OpenAI has it (429), so that
another host is tried; an input that the model does not take (422) is 400.  When it throttles it may name the seconds in
its text alone.
"""

from __future__ import annotations

import re
from typing import Any, Final

import httpx

from components.adapter.errors import ChatError, ErrorType, bad_answer

_STATUS: Final = {402: 429, 422: 400}
_CODES: Final = {402: "insufficient_quota", 404: "model_not_found", 429: "rate_limit_exceeded"}
_SECONDS: Final = re.compile(r"resets in ~(\d+)s")


def refusal(response: httpx.Response) -> ChatError:
    """The error for an answer of 400 or more."""
    detail = _detail(response)
    status = _STATUS.get(response.status_code, response.status_code)
    named = _SECONDS.search(detail)
    return ChatError(
        status,
        detail or f"it answers {response.status_code}",
        _kind(status),
        _CODES.get(response.status_code),
        retry_after=response.headers.get("retry-after") or (named[1] if named else None),
    )


def unreached(failure: httpx.HTTPError) -> ChatError:
    """The error where there is no answer."""
    if isinstance(failure, httpx.TimeoutException):
        return ChatError(504, "it did not answer in time", type="server_error", code="timeout")
    return bad_answer(f"it cannot be asked, or its answer is none ({type(failure).__name__})")


def _detail(response: httpx.Response) -> str:
    try:
        said: Any = response.json()
        return str(said["detail"])
    except (ValueError, KeyError, TypeError):
        return ""


def _kind(status: int) -> ErrorType:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
