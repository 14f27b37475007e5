"""A prediction as a chat completion.

A prediction does not say why its answer ended: one that has all the tokens it may have is taken to have been cut.
Its `metrics` hold `input_token_count` and `output_token_count` for models that are paid by the token (replicate-go,
issue 52); without them the usage is not known, and not made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from components.adapter.chunks import Finish, Head, usage
from components.adapter.errors import bad_answer

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
