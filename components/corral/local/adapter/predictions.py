"""A chat completion as a prediction of Replicate, and predictions as chat completions.

Inputs: each model has its own, and no list of messages is among them (as the models' pages and public predictions of
them show, 2026-11-21: replicate.com/meta/meta-llama-3.1-405b-instruct, replicate.com/meta/llama-4-maverick-instruct,
replicate.com/meta/meta-llama-3-8b-instruct).  A parameter that the model does not take there is refused.  `max_tokens`
is always given, since the models' own default cuts an answer short: the request's limit, at most the model's as the
plan has it, else that, else DEFAULT_LIMIT.

The conversation becomes one prompt.  A model that takes a template of its own gets it in the form that Meta gives for
Llama 3, and a template that adds nothing to it.  Any other model puts the prompt into its own form as one message of
the user: it gets that message as it is if there is no more to the conversation, else a transcript that names who said
what.

A prediction does not say why its answer ended: one that has all the tokens it may have is taken to have been cut.  Its
`metrics` hold `input_token_count` and `output_token_count` for models that are paid by the token (replicate-go, issue
52); without them the usage is not known, and not made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from corral.local.adapter.openai import FinishReason, Head, bad_answer, invalid, unsupported
from corral.local.adapter.requests import (
    BASIC,
    AssistantMessage,
    ChatRequest,
    ImagePart,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from corral.simulated.shapes import usage

DEFAULT_LIMIT: Final = 2_048
"""Tokens; the models' own default is 512 (Llama 3) or 1,024 (Llama 4)."""

_INPUTS: Final = frozenset({"prompt", "max_tokens", "temperature", "top_p", "presence_penalty"})
"""The inputs that every Llama there is known to take."""

_MORE_INPUTS: Final = {
    "meta/llama-4-maverick-instruct": frozenset({"frequency_penalty"}),
    "meta/meta-llama-3.1-405b-instruct": frozenset({"frequency_penalty", "prompt_template", "stop_sequences"}),
}

_BY_NAME: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
"""Parameters that are inputs of the same name and meaning."""


def limit(request: ChatRequest, output: int | None) -> int:
    """The most tokens of the answer; `output` is the model's, as far as it is known."""
    return min(filter(None, (request.limit, output)), default=DEFAULT_LIMIT)


def prediction_input(request: ChatRequest, output: int | None) -> dict[str, Any]:
    """The prediction's `input`.  Raises ChatError."""
    inputs = _INPUTS | _MORE_INPUTS.get(request.model, frozenset())
    stop = {"stop"} if "stop_sequences" in inputs else set[str]()
    request.require_only(BASIC | (inputs & set(_BY_NAME)) | stop, "this model's prediction")
    if any("," in text for text in request.stops):
        raise invalid("stop", "holds a comma, by which this host tells one text from the next")
    turns = list(_turns(request.messages))
    templated = "prompt_template" in inputs
    return {
        "prompt": _llama_3(turns) if templated else _transcript(turns),
        **({"prompt_template": "{prompt}"} if templated else {}),
        "max_tokens": limit(request, output),
        **{name: value for name in _BY_NAME if name in inputs and (value := getattr(request, name)) is not None},
        **({"stop_sequences": ",".join(request.stops)} if request.stops else {}),
    }


Turn = tuple[str, str]
"""A role and a text."""


def _turns(messages: Sequence[Message]) -> Iterator[Turn]:
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if isinstance(message, ToolMessage):
            raise unsupported(place, "cannot be told to this host: it knows no tools")
        if isinstance(message, AssistantMessage) and message.tool_calls:
            raise unsupported(f"{place}.tool_calls", "cannot be told to this host: it knows no tools")
        yield "system" if isinstance(message, SystemMessage) else message.role, _text(message, place)


def _text(message: SystemMessage | UserMessage | AssistantMessage, place: str) -> str:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for number, part in enumerate(content):
        if isinstance(part, ImagePart):
            raise unsupported(f"{place}.content[{number}]", "is an image, and this host takes none")
        texts.append(part.text)
    return "".join(texts)


_MARKS: Final = re.compile(r"<\|(begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id)\|>")
"""The bounds of turns as Llama 3 reads them: a text that holds them could speak for somebody else."""


def _llama_3(turns: Sequence[Turn]) -> str:
    """llama.com/docs/model-cards-and-prompt-formats.  Raises ChatError."""
    for number, (_, text) in enumerate(turns):
        if _MARKS.search(text):
            raise invalid(f"messages[{number}].content", "holds a mark that Llama 3 reads as the bound of a turn")
    prompt = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    return f"<|begin_of_text|>{prompt}<|start_header_id|>assistant<|end_header_id|>\n\n"


def _transcript(turns: Sequence[Turn]) -> str:
    """The one message of the user as it is, or a transcript."""
    if [role for role, _ in turns] == ["user"]:
        return turns[0][1]
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in turns) + "\n\nAssistant:"


Prediction = Mapping[str, Any]

ENDED = frozenset({"succeeded", "failed", "canceled", "aborted"})
"""The states in which a prediction stays."""


def head(prediction: Prediction, model: str, created: int) -> Head:
    """The head of its answer."""
    return Head(f"chatcmpl-{prediction['id']}", model, created)


def completion(prediction: Prediction, model: str, limit: int, created: int) -> dict[str, Any]:
    """The chat completion of a prediction that has ended.  Raises ChatError."""
    if prediction["status"] != "succeeded":
        raise bad_answer(f"the prediction {prediction['status']}: {prediction.get('error') or 'it does not say why'}")
    output, counted = prediction.get("output"), tokens(prediction)
    pieces = cast("list[object]", output) if isinstance(output, list) else [output]
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    return head(prediction, model, created).completion({"content": text}, finish_reason(counted, limit), counted)


def tokens(prediction: Prediction) -> dict[str, int] | None:
    """Its usage; None: it does not say."""
    metrics: Mapping[str, Any] = prediction.get("metrics") or {}
    prompt, answer = metrics.get("input_token_count"), metrics.get("output_token_count")
    return usage(prompt, answer) if isinstance(prompt, int) and isinstance(answer, int) else None


def finish_reason(counted: Mapping[str, int] | None, limit: int) -> FinishReason:
    """The reason for which the answer ended."""
    return "length" if counted and counted["completion_tokens"] >= limit else "stop"
