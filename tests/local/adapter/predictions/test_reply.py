"""Predictions as chat completions, and what Replicate refuses as errors of OpenAI's shape."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from corral.local.adapter.openai import ChatError
from corral.local.adapter.predictions.reply import completion, refusal, unreached

METRICS = {"input_token_count": 3, "output_token_count": 4}
USAGE = {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}


def prediction(**more: Any) -> dict[str, Any]:
    return {"id": "p1", "status": "succeeded", "output": ["hel", "lo"], "error": None, "metrics": METRICS} | more


def whole(content: str, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-p1", "object": "chat.completion", "created": 5, "model": "m", "choices": [choice]}


@pytest.mark.parametrize(
    ("said", "limit", "want"),
    [
        (prediction(), 9, whole("hello") | USAGE),
        (prediction(output="hello"), 9, whole("hello") | USAGE),
        (prediction(output=None), 9, whole("") | USAGE),
        (prediction(), 4, whole("hello", "length") | USAGE),
        (prediction(metrics={"predict_time": 1.5}), 4, whole("hello")),
        (prediction(metrics=None), 4, whole("hello")),
    ],
)
def test_a_prediction_becomes_a_chat_completion(said: dict[str, Any], limit: int, want: dict[str, Any]):
    assert completion(said, "m", limit, 5) == want


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        ("failed", "out of memory", "the prediction failed: out of memory"),
        ("canceled", None, "the prediction canceled: it does not say why"),
    ],
)
def test_a_prediction_that_did_not_succeed_is_the_host_s_failure(status: str, error: str | None, message: str):
    with pytest.raises(ChatError) as refused:
        completion(prediction(status=status, error=error), "m", 9, 5)
    assert (refused.value.status, refused.value.message) == (502, message)


def error(status: int, message: str, kind: Any, code: str | None = None, retry_after: str | None = None) -> ChatError:
    return ChatError(status, message, kind, code, retry_after=retry_after)


THROTTLED = "Request was throttled. Your rate limit resets in ~30s."


@pytest.mark.parametrize(
    ("response", "want"),
    [
        (httpx.Response(401, json={"detail": "no"}), error(401, "no", "invalid_request_error")),
        (httpx.Response(402, json={"detail": "broke"}), error(429, "broke", "rate_limit_error", "insufficient_quota")),
        (httpx.Response(404, json={"detail": "gone"}), error(404, "gone", "invalid_request_error", "model_not_found")),
        (httpx.Response(422, json={"detail": "bad"}), error(400, "bad", "invalid_request_error")),
        (httpx.Response(429, json={"detail": THROTTLED}),
         error(429, THROTTLED, "rate_limit_error", "rate_limit_exceeded", "30")),
        (httpx.Response(429, json={"detail": THROTTLED}, headers={"retry-after": "7"}),
         error(429, THROTTLED, "rate_limit_error", "rate_limit_exceeded", "7")),
        (httpx.Response(500, text="<html>"), error(500, "it answers 500", "server_error")),
        (httpx.Response(503, json=["detail"]), error(503, "it answers 503", "server_error")),
    ],
)  # fmt: skip
def test_what_it_refuses_has_its_error(response: httpx.Response, want: ChatError):
    assert vars(refusal(response)) == vars(want)


@pytest.mark.parametrize(
    ("failure", "status"), [(httpx.ReadTimeout("x"), 504), (httpx.ConnectError("x"), 502), (httpx.ReadError("x"), 502)]
)
def test_a_host_that_is_not_reached_may_be_replaced_by_another(failure: httpx.HTTPError, status: int):
    assert unreached(failure).status == status
