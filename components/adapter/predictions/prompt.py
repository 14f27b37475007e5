"""A conversation as one prompt.

Policy.  A model that takes a template of its own gets the conversation in the form that Meta gives for Llama 3, and a
template that adds nothing to it.  Any other model puts the prompt into its own form as one message of the user: it gets
that message as it is if there is no more to the conversation, else a transcript that names who said what.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from components.adapter.asked import AssistantMessage, Message, SystemMessage, ToolMessage, UserMessage
from components.adapter.errors import refused, unsupported

TEMPLATE: Final = "{prompt}"
"""Adds nothing."""

_MARKS: Final = re.compile(r"<\|(begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id)\|>")
"""What Llama 3 reads as the bounds of turns: a text that holds them could speak for somebody else."""

_NAMES: Final = {"system": "System", "user": "User", "assistant": "Assistant"}


def said(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Who says what, in order.  Raises ChatError."""
    return list(_said(messages))


def llama_3(turns: Sequence[tuple[str, str]]) -> str:
    """llama.com/docs/model-cards-and-prompt-formats.  Raises ChatError."""
    for number, (_, text) in enumerate(turns):
        if _MARKS.search(text):
            raise refused(f"messages[{number}].content", "holds a mark that Llama 3 reads as the bound of a turn")
    said = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    return f"<|begin_of_text|>{said}<|start_header_id|>assistant<|end_header_id|>\n\n"


def transcript(turns: Sequence[tuple[str, str]]) -> str:
    """The one message of the user as it is, or a transcript."""
    if [role for role, _ in turns] == ["user"]:
        return turns[0][1]
    return "\n\n".join(f"{_NAMES[role]}: {text}" for role, text in turns) + "\n\nAssistant:"


def _said(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        match message:
            case SystemMessage():
                yield "system", _text(message, place)
            case UserMessage():
                yield "user", _text(message, place)
            case AssistantMessage() if message.tool_calls:
                raise unsupported(f"{place}.tool_calls", "cannot be told to this host: it knows no tools")
            case AssistantMessage():
                yield "assistant", _text(message, place)
            case ToolMessage():
                raise unsupported(place, "cannot be told to this host: it knows no tools")


def _text(message: SystemMessage | UserMessage | AssistantMessage, place: str) -> str:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for number, part in enumerate(content):
        if part.type == "image_url":
            raise unsupported(f"{place}.content[{number}]", "is an image, and this host takes none")
        texts.append(part.text)
    return "".join(texts)
