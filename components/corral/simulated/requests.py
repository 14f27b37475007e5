"""Refusals: what a host answers instead of an answer, in the shape and with the codes of OpenAI's errors.

Bedrock's words for a Llama that refuses tools while it streams are quoted as they are.

What all routes have in common: a request is read into an `Asked`, which makes its own reply.

The answer is the same for the same request: the host's name, its own id of the model, and an echo of what was said
last, so that a person sees where a request went and a test knows the answer's tokens (see `tokens`).

What the protocols of hosts differ in, as the wire sees it.
"""

from __future__ import annotations

import json
import time
import uuid
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corral.simulated import tokens
from corral.simulated.hosts import SimulatedHost, SimulatedModel


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None
    """Seconds."""

    def body(self, host: str | None) -> bytes:
        """The JSON body; its message begins with the name of the host, if there is one, that refused."""
        error = {
            "message": f"{host} (simulated): {self.message}" if host else self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return json.dumps({"error": error}).encode()


def no_credential(host: SimulatedHost) -> Refusal:
    """401: nothing where the key should be."""
    where = "an `api-key` header" if host.header == "api-key" else "an `Authorization: Bearer` header"
    return Refusal(401, f"You didn't provide an API key. Provide it in {where}.")


def wrong_credential() -> Refusal:
    """401: a key, but not this host's."""
    return Refusal(401, "Incorrect API key provided.", code="invalid_api_key")


def no_such_model(model: str) -> Refusal:
    """404: not an id of this host."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Refusal(404, message, code="model_not_found", param="model")


def bad_request(error: ValidationError) -> Refusal:
    """400: not JSON, or not the JSON this route takes."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return not_json(first["msg"])
    param = str(first["loc"][0]) if first["loc"] else None
    return Refusal(400, f"{param or 'the body'}: {first['msg']}.", code="invalid_value", param=param)


def not_json(why: str) -> Refusal:
    """400: the body is not JSON."""
    return Refusal(400, f"We could not parse the JSON body of your request: {why}.")


def beyond_the_model(facts: SimulatedModel, *, streamed: bool, tools: bool, images: bool) -> Refusal | None:
    """400: something that this model does not do at this host."""
    if streamed and facts.streaming is False:
        return Refusal(400, "This model doesn't support streaming.", code="unsupported_value", param="stream")
    if tools and facts.tools is False:
        return Refusal(400, "This model doesn't support tool use.", code="unsupported_value", param="tools")
    if tools and streamed and facts.tools_while_streaming is False:
        message = "This model doesn't support tool use in streaming mode."
        return Refusal(400, message, code="unsupported_value", param="tools")
    if images and facts.vision is False:
        return Refusal(400, "This model doesn't support image input.", code="unsupported_value", param="messages")
    return None


FAULTS = {
    "401": Refusal(401, "This API key was revoked.", code="invalid_api_key"),
    "429": Refusal(429, "Rate limit reached.", type="rate_limit_error", code="rate_limit_exceeded"),
    "500": Refusal(500, "The server had an error while processing your request.", type="server_error"),
    "503": Refusal(503, "The server is overloaded or not ready yet.", type="server_error"),
}
"""What the faults of these kinds answer; `429` adds its time."""


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


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    """As a person reads it."""
    raw_path: str
    """As it came, percent signs and all, without the query."""
    query: str
    route: str | None
    """What stands after the path of the host's base URL; None: that is not how the path begins."""
    headers: tuple[tuple[str, str], ...]
    """Names in small letters."""
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header, or nothing."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True)
class Said:
    """An answer that is a refusal."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Dialect(Protocol):
    """One protocol."""

    id_header: str
    """The header in which a host says by which id it knows a request."""

    def asked(self, host: SimulatedHost, request: Request) -> Asked | Whole | Refusal:
        """What a request asks for: an answer of a model, something else that is answered at once, or nothing."""
        ...

    def locked(self, host: SimulatedHost, request: Request) -> Refusal | None:
        """The refusal of a missing or wrong credential."""
        ...

    def said(self, refusal: Refusal, host: str) -> Said:
        """A refusal in the protocol's own words."""
        ...


def no_path(request: Request, hint: str) -> Refusal:
    """404: nothing is at this path."""
    return Refusal(404, f"Unknown request URL: {request.method} {request.path}; {hint}.", code="unknown_url")


def wrong_method(request: Request) -> Refusal:
    """405: something is at this path, for another method."""
    return Refusal(405, f"Not allowed here: {request.method} {request.path}.", code="method_not_supported")
