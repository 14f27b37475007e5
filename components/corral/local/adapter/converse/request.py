"""Images in a message: Converse takes their bytes, and reads no address but S3's.

So an image comes as a `data:` URL.  One behind an http address is refused: the adapter fetches nothing that a caller
names, which would let callers reach what only this machine can.

The conversation, as Converse has it: instructions apart, and turns of the user and the assistant that alternate.

Policy.  Instructions (`system`, `developer`) go to the front in their order, wherever they stood.  What tools gave is
said by the user, as Converse wants it; messages of one side in a row become one turn.  An empty text is left out where
something else is said, and refused where nothing is.

The tools on offer, and which of them must be called.

Policy.  Converse has no word for `tool_choice: none`.  Not to offer the tools comes to the same, but for a conversation
in which a tool was called already: Converse wants the tools there, so that is refused.

A chat completion, asked in Converse.

Policy.  `maxTokens` is always said: Bedrock reserves quota for the prompt and for all tokens that the answer might
have, and without it that is the model's own limit.  It is the request's limit, else the model's as the plan knows it,
else DEFAULT_LIMIT.  `temperature` goes up to 1 there, not 2; more is refused rather than cut.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from corral.local.adapter.openai import refused, unsupported
from corral.local.adapter.requests import (
    Asked,
    AssistantMessage,
    Function,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

_DATA = re.compile(r"data:image/(?P<format>[a-z+.-]+);base64,(?P<bytes>.*)", re.IGNORECASE | re.DOTALL)
_FORMATS = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}


def image(url: str, param: str) -> dict[str, Any]:
    """The image as a block of content; `param` is where it stands.  Raises ChatError."""
    found = _DATA.fullmatch(url)
    if found is None:
        raise refused(param, "must be a data: URL (data:image/png;base64,...): this host fetches no image itself")
    name = _FORMATS.get(found["format"].lower())
    if name is None:
        raise refused(param, f"is of a format that this host does not take: send {', '.join(sorted({*_FORMATS}))}")
    try:
        content = base64.b64decode(found["bytes"], validate=True)
    except binascii.Error:
        raise refused(param, "is not base64") from None
    if not content:
        raise refused(param, "is an empty image")
    return {"image": {"format": name, "source": {"bytes": content}}}


Block = dict[str, Any]


def system(messages: Sequence[Message]) -> list[Block]:
    """The instructions."""
    return [block for message in messages if isinstance(message, SystemMessage) for block in _texts(message.content)]


def turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The turns.  Raises ChatError."""
    made: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            continue
        place = f"messages[{number}]"
        side = "assistant" if isinstance(message, AssistantMessage) else "user"
        content = list(_content(message, place))
        if not content:
            raise refused(f"{place}.content", "says nothing")
        if made and made[-1]["role"] == side:
            made[-1]["content"] += content
        else:
            made.append({"role": side, "content": content})
    if not made:
        raise refused("messages", "holds no message of the user")
    return made


def _content(message: UserMessage | AssistantMessage | ToolMessage, place: str) -> Iterator[Block]:
    match message:
        case UserMessage():
            yield from _said(message, place)
        case AssistantMessage():
            yield from _texts(message.content or message.refusal or "")
            for number, call in enumerate(message.tool_calls or ()):
                yield {"toolUse": _call(call, f"{place}.tool_calls[{number}]")}
        case ToolMessage():
            given = message.content if isinstance(message.content, str) else _joined(message.content)
            yield {"toolResult": {"toolUseId": message.tool_call_id, "content": [{"text": given}]}}


def _said(message: UserMessage, place: str) -> Iterator[Block]:
    if isinstance(message.content, str):
        yield from _texts(message.content)
        return
    for number, part in enumerate(message.content):
        if isinstance(part, TextPart):
            yield from _texts(part.text)
        else:
            yield image(part.image_url.url, f"{place}.content[{number}].image_url.url")


def _texts(content: str | Sequence[TextPart | RefusalPart]) -> list[Block]:
    texts = [content] if isinstance(content, str) else [part.text for part in content]
    return [{"text": text} for text in texts if text]


def _joined(parts: Sequence[TextPart]) -> str:
    return "".join(part.text for part in parts)


def _call(call: ToolCall, place: str) -> Block:
    try:
        said: object = json.loads(call.function.arguments or "{}")
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise refused(f"{place}.function.arguments", "is no JSON object, and this host takes nothing else")
    return {"toolUseId": call.id, "name": call.function.name, "input": cast("dict[str, object]", said)}


def tool_config(asked: Asked) -> dict[str, Any] | None:
    """Converse's `toolConfig`; None: no tools.  Raises ChatError."""
    if asked.tool_choice == "none":
        if any(_of_tools(message) for message in asked.messages):
            raise unsupported("tool_choice", "cannot be none once a tool was called: Converse has nothing like it")
        return None
    if not asked.tools:
        return None
    choice = _choice(asked)
    return {"tools": [{"toolSpec": _spec(tool.function)} for tool in asked.tools]} | (
        {"toolChoice": choice} if choice else {}
    )


def _of_tools(message: object) -> bool:
    return isinstance(message, ToolMessage) or (isinstance(message, AssistantMessage) and bool(message.tool_calls))


def _choice(asked: Asked) -> dict[str, Any] | None:
    match asked.tool_choice:
        case None | "none":
            return None
        case "auto":
            return {"auto": {}}
        case "required":
            return {"any": {}}
        case chosen:
            return {"tool": {"name": chosen.function.name}}


def _spec(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        **({"description": function.description} if function.description else {}),
        "inputSchema": {"json": function.parameters or {"type": "object", "properties": {}}},
        **({"strict": True} if function.strict else {}),
    }


DEFAULT_LIMIT: Final = 2_048
"""Tokens of an answer that every Llama on Bedrock gives: the most that `max_gen_len` of its native API takes.
docs.aws.amazon.com/bedrock, Meta Llama models."""

_TAKEN: Final = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
        *("temperature", "top_p", "stop", "tools", "tool_choice"),
    }
)


def converse(asked: Asked, output: int | None) -> dict[str, Any]:
    """The parameters of boto3's `converse` and `converse_stream`.  Raises ChatError.

    `output` is the most tokens the model's answers have; None: unknown.
    """
    refusal = asked.beyond(_TAKEN, "Converse")
    if refusal is not None:
        raise refusal
    if asked.temperature is not None and asked.temperature > 1:
        raise refused("temperature", "is above 1, the most that this host takes")
    said: dict[str, Any] = {
        "system": system(asked.messages),
        "messages": turns(asked.messages),
        "inferenceConfig": {
            "maxTokens": asked.limit or output or DEFAULT_LIMIT,
            **({"temperature": asked.temperature} if asked.temperature is not None else {}),
            **({"topP": asked.top_p} if asked.top_p is not None else {}),
            **({"stopSequences": asked.stops} if asked.stops else {}),
        },
        "toolConfig": tool_config(asked),
    }
    return {"modelId": asked.model} | {key: value for key, value in said.items() if value}
