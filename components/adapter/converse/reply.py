"""Converse's answer in one piece, as a chat completion."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from components.adapter.chunks import Head, usage
from components.adapter.converse.stop import finish_reason
from components.adapter.errors import bad_answer


def completion(answer: Mapping[str, Any], model: str, created: int) -> dict[str, Any]:
    """The chat completion; `answer` is as boto3's `converse` returns it.  Raises ChatError.

    Of a body that is not JSON, or that ends too early, boto3 makes an answer without any of its keys.
    """
    if not {"output", "stopReason", "usage"} <= answer.keys():
        raise bad_answer("its answer is none of Converse's")
    content: list[Mapping[str, Any]] = answer["output"]["message"]["content"]
    text = "".join(block["text"] for block in content if "text" in block)
    calls = [_call(block["toolUse"]) for block in content if "toolUse" in block]
    message = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
    return Head(answer_id(answer), model, created).completion(
        message | ({"tool_calls": calls} if calls else {}),
        finish_reason(answer["stopReason"]),
        tokens(answer["usage"]),
    )


def answer_id(answer: Mapping[str, Any]) -> str:
    """An id that AWS's support finds the request by; any other if AWS gives none."""
    return f"chatcmpl-{answer['ResponseMetadata'].get('RequestId') or uuid.uuid4().hex}"


def tokens(said: Mapping[str, int]) -> dict[str, int]:
    """Converse's `usage` as OpenAI's."""
    return usage(said["inputTokens"], said["outputTokens"], said["totalTokens"])


def _call(said: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": said["name"], "arguments": json.dumps(said["input"], separators=(",", ":"))}
    return {"id": said["toolUseId"], "type": "function", "function": function}
