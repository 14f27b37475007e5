"""A chat completion in Bedrock's Converse, and Converse's answers as chat completions.

Shapes are those of botocore's `bedrock-runtime`, 2023-09-30.

Instructions (`system`, `developer`) go to the front in their order, wherever they stood.  The results of tools are the
user's to say, as Converse wants it; messages of one side in a row become one turn.  An empty text is left out where
something else is said, and refused where nothing is.

Images: Converse takes their bytes, and reads no address but S3's, so an image comes as a `data:` URL.  One behind an
http address is refused: the adapter fetches nothing that a caller names, which would let callers reach what only this
machine can.

Tools: Converse has no word for `tool_choice: none`.  Not to offer the tools comes to the same, but for a conversation
in which a tool was called already: Converse wants the tools there, so that is refused.

Limits: `maxTokens` is always given.  Bedrock reserves quota for the prompt and for all tokens that the answer might
have, and without it that is the model's own limit.  It is the request's limit, else the model's as the plan knows it,
else DEFAULT_LIMIT.  `temperature` goes up to 1 there, not 2; more is refused rather than cut.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from corral.local.adapter.openai import FIRST_DELTA, FinishReason, Head, bad_answer, invalid, unsupported
from corral.local.adapter.requests import (
    BASIC,
    AssistantMessage,
    ChatRequest,
    Function,
    ImagePart,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from corral.simulated.shapes import usage

DEFAULT_LIMIT: Final = 2_048
"""Tokens of an answer that every Llama on Bedrock gives: the most that `max_gen_len` of its native API takes.
docs.aws.amazon.com/bedrock, Meta Llama models."""

_SUPPORTED: Final = BASIC | {"temperature", "top_p", "stop", "tools", "tool_choice"}

Block = dict[str, Any]


def converse(request: ChatRequest, output: int | None) -> dict[str, Any]:
    """The parameters of boto3's `converse` and `converse_stream`.  Raises ChatError.

    `output` is the most tokens the model's answers have; None: unknown.
    """
    request.require_only(_SUPPORTED, "Converse")
    if request.temperature is not None and request.temperature > 1:
        raise invalid("temperature", "is above 1, the most that this host takes")
    inference = {
        "maxTokens": request.limit or output or DEFAULT_LIMIT,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": request.stops or None,
    }
    parameters: dict[str, Any] = {
        "modelId": request.model,
        "system": [
            block
            for message in request.messages
            if isinstance(message, SystemMessage)
            for block in _texts(message.content)
        ],
        "messages": _turns(request.messages),
        "inferenceConfig": {key: value for key, value in inference.items() if value is not None},
        "toolConfig": _tool_config(request),
    }
    return {key: value for key, value in parameters.items() if value}


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            continue
        place = f"messages[{number}]"
        side = "assistant" if isinstance(message, AssistantMessage) else "user"
        content = list(_content(message, place))
        if not content:
            raise invalid(f"{place}.content", "says nothing")
        if turns and turns[-1]["role"] == side:
            turns[-1]["content"] += content
        else:
            turns.append({"role": side, "content": content})
    if not turns:
        raise invalid("messages", "holds no message of the user")
    return turns


def _content(message: UserMessage | AssistantMessage | ToolMessage, place: str) -> Iterator[Block]:
    match message:
        case UserMessage():
            parts = message.content
            for number, part in enumerate([parts] if isinstance(parts, str) else parts):
                if isinstance(part, ImagePart):
                    yield _image(part.image_url.url, f"{place}.content[{number}].image_url.url")
                else:
                    yield from _texts(part if isinstance(part, str) else [part])
        case AssistantMessage():
            yield from _texts(message.content or message.refusal or "")
            for number, call in enumerate(message.tool_calls or ()):
                yield {"toolUse": _tool_use(call, f"{place}.tool_calls[{number}]")}
        case ToolMessage():
            result = "".join(block["text"] for block in _texts(message.content))
            yield {"toolResult": {"toolUseId": message.tool_call_id, "content": [{"text": result}]}}


def _texts(content: str | Sequence[TextPart | RefusalPart]) -> list[Block]:
    texts = [content] if isinstance(content, str) else [part.text for part in content]
    return [{"text": text} for text in texts if text]


_DATA_URL = re.compile(r"data:image/(?P<format>[a-z+.-]+);base64,(?P<bytes>.*)", re.IGNORECASE | re.DOTALL)
_FORMATS = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}


def _image(url: str, param: str) -> Block:
    data = _DATA_URL.fullmatch(url)
    if data is None:
        raise invalid(param, "must be a data: URL (data:image/png;base64,...): this host fetches no image itself")
    name = _FORMATS.get(data["format"].lower())
    if name is None:
        raise invalid(param, f"is of a format that this host does not take: send {', '.join(sorted(_FORMATS))}")
    try:
        content = base64.b64decode(data["bytes"], validate=True)
    except binascii.Error:
        raise invalid(param, "is not base64") from None
    if not content:
        raise invalid(param, "is an empty image")
    return {"image": {"format": name, "source": {"bytes": content}}}


def _tool_use(call: ToolCall, place: str) -> Block:
    try:
        arguments: object = json.loads(call.function.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise invalid(f"{place}.function.arguments", "is no JSON object, and this host takes nothing else")
    return {"toolUseId": call.id, "name": call.function.name, "input": cast("dict[str, object]", arguments)}


def _tool_config(request: ChatRequest) -> dict[str, Any] | None:
    if request.tool_choice == "none":
        if any(
            isinstance(message, ToolMessage) or (isinstance(message, AssistantMessage) and message.tool_calls)
            for message in request.messages
        ):
            raise unsupported("tool_choice", "cannot be none once a tool was called: Converse has nothing like it")
        return None
    if not request.tools:
        return None
    tools = {"tools": [{"toolSpec": _tool_spec(tool.function)} for tool in request.tools]}
    match request.tool_choice:
        case None:
            return tools
        case "auto":
            return tools | {"toolChoice": {"auto": {}}}
        case "required":
            return tools | {"toolChoice": {"any": {}}}
        case chosen:
            return tools | {"toolChoice": {"tool": {"name": chosen.function.name}}}


def _tool_spec(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        **({"description": function.description} if function.description else {}),
        "inputSchema": {"json": function.parameters or {"type": "object", "properties": {}}},
        **({"strict": True} if function.strict else {}),
    }


_FINISH: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""All that botocore names, but `malformed_model_output` and `malformed_tool_use`: these are no answers."""


def finish_reason(reason: str) -> FinishReason:
    """Converse's `stopReason` as OpenAI's `finish_reason`.  Raises ChatError for an end that is no answer's."""
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
    calls = [_tool_call(block["toolUse"]) for block in content if "toolUse" in block]
    return Head(answer_id(answer), model, created).completion(
        {"content": text or (None if calls else "")} | ({"tool_calls": calls} if calls else {}),
        finish_reason(answer["stopReason"]),
        _usage(answer["usage"]),
    )


def answer_id(answer: Mapping[str, Any]) -> str:
    """An id that AWS's support finds the request by; any other if AWS gives none."""
    return f"chatcmpl-{answer['ResponseMetadata'].get('RequestId') or uuid.uuid4().hex}"


def _usage(tokens: Mapping[str, int]) -> dict[str, int]:
    return usage(tokens["inputTokens"], tokens["outputTokens"], tokens["totalTokens"])


def _tool_call(tool_use: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": tool_use["name"], "arguments": json.dumps(tool_use["input"], separators=(",", ":"))}
    return {"id": tool_use["toolUseId"], "type": "function", "function": function}


class Chunks:
    """Translates the events of one stream.

    Their order is: `messageStart`; for each block of content `contentBlockStart` (of a tool call only),
    `contentBlockDelta` as often as need be, `contentBlockStop`; then `messageStop`, and `metadata` with the usage.
    """

    def __init__(self, head: Head, *, wants_usage: bool) -> None:
        self._head = head
        self._wants_usage = wants_usage
        self._calls: dict[int, int] = {}
        """Per block of content that is a tool call its number among them."""
        self._stopped = False

    def of(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks of one event.  Raises ChatError."""
        match event:
            case {"messageStart": _}:
                yield self._head.chunk(FIRST_DELTA)
            case {"contentBlockStart": {"start": {"toolUse": call}, "contentBlockIndex": block}}:
                number = self._calls[block] = len(self._calls)
                function = {"name": call["name"], "arguments": ""}
                start = {"index": number, "id": call["toolUseId"], "type": "function", "function": function}
                yield self._head.chunk({"tool_calls": [start]})
            case {"contentBlockDelta": {"delta": {"text": text}}}:
                yield self._head.chunk({"content": text})
            case {"contentBlockDelta": {"delta": {"toolUse": call}, "contentBlockIndex": block}}:
                delta = {"index": self._calls[block], "function": {"arguments": call["input"]}}
                yield self._head.chunk({"tool_calls": [delta]})
            case {"messageStop": {"stopReason": reason}}:
                self._stopped = True
                yield self._head.chunk({}, finish_reason(reason))
            case {"metadata": {"usage": tokens}} if self._wants_usage:
                yield self._head.usage(_usage(tokens))
            case _:
                return

    def end(self) -> None:
        """Nothing more comes.  Raises ChatError if something was still to come."""
        if not self._stopped:
            raise bad_answer("the stream broke off")
