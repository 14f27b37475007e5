"""Why an answer ended: Converse's `stopReason` as OpenAI's `finish_reason`.

Converse's answer in one piece, as a chat completion.

Converse's stream of events, as chunks of a chat completion.

The order of the events is: `messageStart`; for each block of content `contentBlockStart` (of a tool call only),
`contentBlockDelta` as often as need be, `contentBlockStop`; then `messageStop`, and `metadata` with the usage.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from corral.local.adapter.openai import Finish, Head, bad_answer, usage

_FINISH: Final[Mapping[str, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""All that botocore names, but `malformed_model_output` and `malformed_tool_use`: these are no answers."""


def finish_reason(reason: str) -> Finish:
    """Raises ChatError for an end that is no answer's."""
    finish = _FINISH.get(reason)
    if finish is None:
        raise bad_answer(f"the answer ended for a reason that is none of an answer's: {reason}")
    return finish


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


Event = Mapping[str, Any]


class Chunks:
    """Translates the events of one stream."""

    def __init__(self, head: Head, *, wants_usage: bool) -> None:
        self._head = head
        self._wants_usage = wants_usage
        self._calls: dict[int, int] = {}
        """Per block of content that is a tool call its number among them."""
        self._stopped = False

    def of(self, event: Event) -> Iterator[dict[str, Any]]:
        """The chunks of one event.  Raises ChatError."""
        match event:
            case {"messageStart": _}:
                yield self._head.chunk({"role": "assistant", "content": ""})
            case {"contentBlockStart": {"start": {"toolUse": call}, "contentBlockIndex": block}}:
                number = self._calls[block] = len(self._calls)
                begun = {"index": number, "id": call["toolUseId"], "type": "function"}
                yield self._head.chunk({"tool_calls": [begun | {"function": {"name": call["name"], "arguments": ""}}]})
            case {"contentBlockDelta": {"delta": {"text": text}}}:
                yield self._head.chunk({"content": text})
            case {"contentBlockDelta": {"delta": {"toolUse": call}, "contentBlockIndex": block}}:
                more = {"index": self._calls[block], "function": {"arguments": call["input"]}}
                yield self._head.chunk({"tool_calls": [more]})
            case {"messageStop": {"stopReason": reason}}:
                self._stopped = True
                yield self._head.chunk({}, finish_reason(reason))
            case {"metadata": {"usage": said}} if self._wants_usage:
                yield self._head.usage(tokens(said))
            case _:
                return

    def end(self) -> None:
        """Nothing more comes.  Raises ChatError if something was still to come."""
        if not self._stopped:
            raise bad_answer("the stream broke off")
