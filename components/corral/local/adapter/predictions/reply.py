"""What Replicate refuses, and what goes wrong on the way to it, as errors of OpenAI's shape.

Its own errors are `{"detail": ...}`.  An account without credit (402) is out of quota as OpenAI has it (429), so that
another host is tried; an input that the model does not take (422) is 400.  When it throttles it may name the seconds in
its text alone.

A prediction as a chat completion.

A prediction does not say why its answer ended: one that has all the tokens it may have is taken to have been cut.
Its `metrics` hold `input_token_count` and `output_token_count` for models that are paid by the token (replicate-go,
issue 52); without them the usage is not known, and not made up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import httpx

from corral.local.adapter.openai import ChatError, ErrorType, Finish, Head, bad_answer, usage

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


Prediction = Mapping[str, Any]

ENDED = frozenset({"succeeded", "failed", "canceled", "aborted"})
"""The states in which a prediction stays."""


def head(prediction: Prediction, model: str, created: int) -> Head:
    """What its answer begins with."""
    return Head(f"chatcmpl-{prediction['id']}", model, created)


def completion(prediction: Prediction, model: str, limit: int, created: int) -> dict[str, Any]:
    """The chat completion of a prediction that has ended.  Raises ChatError."""
    if prediction["status"] != "succeeded":
        raise bad_answer(f"the prediction {prediction['status']}: {prediction.get('error') or 'it does not say why'}")
    message = {"role": "assistant", "content": _text(prediction.get("output")), "refusal": None}
    counted = tokens(prediction)
    return head(prediction, model, created).completion(message, finish(counted, limit), counted)


def tokens(prediction: Prediction) -> dict[str, int] | None:
    """Its usage; None: it does not say."""
    metrics: Mapping[str, Any] = prediction.get("metrics") or {}
    prompt, answer = metrics.get("input_token_count"), metrics.get("output_token_count")
    return usage(prompt, answer, prompt + answer) if isinstance(prompt, int) and isinstance(answer, int) else None


def finish(counted: Mapping[str, int] | None, limit: int) -> Finish:
    """Why the answer ended."""
    return "length" if counted and counted["completion_tokens"] >= limit else "stop"


def _text(output: object) -> str:
    """The answer: a text, or a list of its pieces."""
    if isinstance(output, str):
        return output
    pieces = cast("list[object]", output) if isinstance(output, list) else []
    return "".join(piece for piece in pieces if isinstance(piece, str))
