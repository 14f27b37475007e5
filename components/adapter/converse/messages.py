"""The conversation, as Converse has it: instructions apart, and turns of the user and the assistant that alternate.

Policy.  Instructions (`system`, `developer`) go to the front in their order, wherever they stood.  What tools gave is
said by the user, as Converse wants it; messages of one side in a row become one turn.  An empty text is left out where
something else is said, and refused where nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from components.adapter.asked import (
    AssistantMessage,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from components.adapter.converse.images import image
from components.adapter.errors import refused

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
