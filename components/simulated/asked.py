"""What all routes have in common: a request is read into an `Asked`, which makes its own reply.

The answer is the same for the same request: the host's name, its own id of the model, and an echo of what was said
last, so that a person sees where a request went and a test knows the answer's tokens (see `tokens`).
"""

from __future__ import annotations

import json
import time
import uuid
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.simulated import tokens
from components.simulated.refusal import Refusal, bad_request

ECHO = 2_000
"""Characters of the last message that an answer repeats at most: an answer to 20 MiB stays small."""


@dataclass(frozen=True)
class Whole:
    """A reply in one piece of JSON."""

    body: bytes
    prompt_tokens: int
    answer_tokens: int
    status: int = 200
    seconds: float | None = None
    """How long it takes; None: as long as its tokens do."""


@dataclass(frozen=True)
class Streamed:
    """A reply as events: `opening` comes with the first token, `closing` after the last."""

    opening: bytes
    tokens: tuple[bytes, ...]
    """The events, one token each."""
    closing: bytes
    prompt_tokens: int
    content_type: str = "text/event-stream; charset=utf-8"


Reply = Whole | Streamed


@dataclass(frozen=True)
class Text:
    """One answer: its tokens, and whether the request's limit ended it."""

    tokens: tuple[str, ...]
    cut: bool

    def __str__(self) -> str:
        return "".join(self.tokens)

    @property
    def finish(self) -> Literal["length", "stop"]:
        """Its `finish_reason`."""
        return "length" if self.cut else "stop"


Limit = Annotated[int, Field(ge=1)]
"""The most tokens an answer may have."""

Choices = Annotated[int, Field(ge=1, le=128)]
"""`n`; 128 is OpenAI's own limit."""


class StreamOptions(BaseModel):
    """How a stream is wanted."""

    include_usage: bool | None = None


class Asked(BaseModel):
    """A request, as far as it matters here; what else it holds is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    model: str
    stream: bool | None = None

    @classmethod
    def read(cls, body: bytes) -> Self | Refusal:
        """The request in a body, or why there is none."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            return bad_request(error)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self | Refusal:
        """The request in what was said in JSON and elsewhere, or why there is none."""
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            return bad_request(error)

    @property
    def with_tools(self) -> bool:
        """Whether it offers tools."""
        return False

    @property
    def with_images(self) -> bool:
        """Whether it holds an image."""
        return False

    @abstractmethod
    def reply(self, host: str) -> Reply:
        """The reply of the host of that name: `Streamed` if the request asks for it."""

    def text(self, host: str, last: str, limit: int | None) -> Text:
        """The answer to `last`, of `limit` tokens at most."""
        words = tokens.split(f"{host} (simulated) answers as {self.model}: {last[:ECHO]}")
        return Text(tuple(words[:limit]), cut=limit is not None and len(words) > limit)


def usage(prompt: int, answer: int) -> dict[str, int]:
    """`usage` of chat completions and completions."""
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def head(kind: str, prefix: str, model: str) -> dict[str, Any]:
    """What every object and every chunk of an answer begins with."""
    return {
        "id": f"{prefix}{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": "simulated",
    }


def to_json(value: object) -> bytes:
    """Compact JSON, ASCII only."""
    return json.dumps(value, separators=(",", ":")).encode()


def event(data: object) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + to_json(data) + b"\n\n"


def usage_event(common: dict[str, Any], prompt: int, answer: int) -> bytes:
    """The last event of a stream of chat completions or completions that was asked for its usage: no choices."""
    no_choices: list[object] = []
    return event(common | {"choices": no_choices, "usage": usage(prompt, answer)})


def interleaved(answers: Iterable[Iterable[bytes]]) -> tuple[bytes, ...]:
    """The events of several answers in the order in which they are made side by side: first tokens first."""
    queues = [list(answer) for answer in answers]
    longest = max(map(len, queues), default=0)
    return tuple(queue[place] for place in range(longest) for queue in queues if place < len(queue))


DONE = b"data: [DONE]\n\n"
"""The end of a stream of chat completions and completions."""
