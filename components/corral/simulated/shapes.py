"""The shapes of OpenAI's protocol that both ends write: a stand-in as a host, the adapter in place of one.

Shapes alone.  How a request is read and an answer is made is each end's own, so that a mistake of the adapter shows at
a stand-in.
"""

from __future__ import annotations

import json
from typing import Any, Literal

ErrorType = Literal["invalid_request_error", "rate_limit_error", "server_error"]

DONE = b"data: [DONE]\n\n"
"""The end of a stream of chat completions or completions."""


def to_json(value: object) -> bytes:
    """Compact JSON, ASCII only."""
    return json.dumps(value, separators=(",", ":")).encode()


def event(data: object, name: str | None = None) -> bytes:
    """A server-sent event with JSON; only those of responses have names."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + to_json(data) + b"\n\n"


def usage(prompt: int, answer: int, total: int | None = None) -> dict[str, int]:
    """`usage` of chat completions and completions, in tokens."""
    total = prompt + answer if total is None else total
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": total}


def error_body(message: str, kind: ErrorType, code: str | None, param: str | None) -> dict[str, Any]:
    """The body of an answer that is an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
