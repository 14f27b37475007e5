"""Which inputs a model takes at Replicate: each model has its own, and no list of messages is among them.

As the models' pages and public predictions of them show, 2026-11-21: replicate.com/meta/meta-llama-3.1-405b-instruct,
replicate.com/meta/llama-4-maverick-instruct, replicate.com/meta/meta-llama-3-8b-instruct.

A conversation as one prompt.

Policy.  A model that takes a template of its own gets the conversation in the form that Meta gives for Llama 3, and a
template that adds nothing to it.  Any other model puts the prompt into its own form as one message of the user: it gets
that message as it is if there is no more to the conversation, else a transcript that names who said what.

A chat completion, asked as a prediction.

Policy.  A parameter that the model does not take there is refused.  `max_tokens` is always said, since the models' own
default cuts an answer short: the request's limit, else the model's as the plan knows it, else DEFAULT_LIMIT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from corral.local.adapter.openai import refused, unsupported
from corral.local.adapter.requests import Asked, AssistantMessage, Message, SystemMessage, ToolMessage, UserMessage

_ALL: Final = frozenset({"prompt", "max_tokens", "temperature", "top_p", "presence_penalty"})
"""What every Llama there is known to take."""

_MORE: Final = {
    "meta/llama-4-maverick-instruct": frozenset({"frequency_penalty"}),
    "meta/meta-llama-3.1-405b-instruct": frozenset({"frequency_penalty", "prompt_template", "stop_sequences"}),
}


def inputs(model: str) -> frozenset[str]:
    """The inputs of a model, by its id."""
    return _ALL | _MORE.get(model, frozenset())


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


DEFAULT_LIMIT: Final = 2_048
"""Tokens; the models' own default is 512 (Llama 3) or 1,024 (Llama 4)."""

_TAKEN: Final = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"})
_BY_NAME: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
"""Parameters that are inputs of the same name and meaning."""


def limit(asked: Asked, output: int | None) -> int:
    """The most tokens of the answer; `output` is the model's, as far as it is known."""
    return asked.limit or output or DEFAULT_LIMIT


def prediction_input(asked: Asked, output: int | None) -> dict[str, Any]:
    """The prediction's `input`.  Raises ChatError."""
    taken = inputs(asked.model)
    stop = {"stop"} if "stop_sequences" in taken else set[str]()
    refusal = asked.beyond(_TAKEN | (taken & set(_BY_NAME)) | stop, "this model's prediction")
    if refusal is not None:
        raise refusal
    if any("," in text for text in asked.stops):
        raise refused("stop", "holds a comma, by which this host tells one text from the next")
    turns = said(asked.messages)
    templated = "prompt_template" in taken
    return {
        "prompt": llama_3(turns) if templated else transcript(turns),
        **({"prompt_template": TEMPLATE} if templated else {}),
        "max_tokens": limit(asked, output),
        **{name: value for name in _BY_NAME if name in taken and (value := getattr(asked, name)) is not None},
        **({"stop_sequences": ",".join(asked.stops)} if asked.stops else {}),
    }
