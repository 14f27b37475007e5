"""The common part of the protocols of stand-ins: requests, replies, refusals, and how tokens are counted.

A request is read into a `ModelRequest`, which makes its own reply.  The reply is the same for the same request,
whatever its `seed`: the host's name, its own id of the model, and an echo of what the user said last, so that a person
sees where a request went and a test knows the answer's tokens; or JSON, where that is asked for; or the call of a tool,
with arguments that fit its schema.  A tool that may be called is, where the user's text names it, and for one text in
four; which ones is the same at every host, so that an application can be rehearsed.  What is refused has the codes of
OpenAI's errors; Bedrock's words for a Llama that refuses tools while it streams are quoted as they are.

The rule for tokens.  A token is a word: a run of characters that are not white space.  An image counts IMAGE_TOKENS.
A prompt's tokens are those of all its texts, whoever speaks, and of its images; the definitions of tools count
nothing.  A token id (where a prompt is given as ids) counts one.
"""

from __future__ import annotations

import hmac
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, cast
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.datastructures import Headers
from starlette.types import Scope

from corral.catalog.catalog import Takes
from corral.simulated.hosts import SimulatedHost
from corral.simulated.instances import instance
from corral.simulated.shapes import ErrorType

IMAGE_TOKENS = 256
"""A round figure of the simulation; no host's."""

_TOKEN = re.compile(r"\s*\S+")


class Part(BaseModel):
    """A part of a message's content: `{"type": "text", "text": ...}`, `{"type": "image_url", ...}`."""

    type: str
    text: str | None = None
    image_url: str | dict[str, Any] | None = None

    @property
    def is_fetched(self) -> bool:
        """Whether it is an image that stands elsewhere."""
        url: object = self.image_url.get("url") if isinstance(self.image_url, dict) else self.image_url
        return isinstance(url, str) and url.lower().startswith("http")

    @property
    def is_image(self) -> bool:
        """Whether it is an image of chat completions, or of responses."""
        return self.type in ("image_url", "input_image")


Content = str | list[Part] | None
"""The content of a message."""


def split(text: str) -> list[str]:
    """Its tokens, each with the white space before it: joined they are the text without white space at its end."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """The number of tokens in a text."""
    return len(text.split())


def content_tokens(content: Content) -> int:
    """The number of tokens in a message's content."""
    if content is None or isinstance(content, str):
        return count(content or "")
    return sum(IMAGE_TOKENS if part.is_image else count(part.text or "") for part in content)


def has_images(contents: Iterable[Content]) -> bool:
    """Whether any of the contents holds an image."""
    return any(part.is_image for content in contents if isinstance(content, list) for part in content)


def text_of(content: Content) -> str:
    """A message's text, its parts joined by a space."""
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(part.text for part in content if part.text)


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error, with the codes of OpenAI's."""

    status: int
    message: str
    type: ErrorType = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None
    """Seconds."""


def no_such_model(model: str) -> Refusal:
    """404: not an id of this host."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Refusal(404, message, code="model_not_found", param="model")


def _bad_request(error: ValidationError) -> Refusal:
    """400: not JSON, or not the JSON that is taken here."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return _not_json(first["msg"])
    param = str(first["loc"][0]) if first["loc"] else None
    return Refusal(400, f"{param or 'the body'}: {first['msg']}.", code="invalid_value", param=param)


def _not_json(why: str) -> Refusal:
    return Refusal(400, f"We could not parse the JSON body of your request: {why}.")


FAULTS = {
    "401": Refusal(401, "This API key was revoked.", code="invalid_api_key"),
    "429": Refusal(429, "Rate limit reached.", type="rate_limit_error", code="rate_limit_exceeded"),
    "500": Refusal(500, "The server had an error while processing your request.", type="server_error"),
    "503": Refusal(503, "The server is overloaded or not ready yet.", type="server_error"),
}
"""The answers to requests that meet faults of these kinds; `429` adds its time."""


ECHO_CHARACTERS = 2_000
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
    """One answer: its tokens, and whether the request's limit, or one of its stop sequences, ended it."""

    tokens: tuple[str, ...]
    cut: bool = False
    stopped: bool = False

    def __str__(self) -> str:
        return "".join(self.tokens)

    @property
    def finish(self) -> Literal["length", "stop"]:
        """Its `finish_reason`."""
        return "length" if self.cut else "stop"


@dataclass(frozen=True)
class Want:
    """Something that a request may ask for, and that a host may be known not to take."""

    fact: str
    """The fact of `Takes`."""
    wanted: bool
    what: str
    param: str | None = None


TokenLimit = Annotated[int, Field(ge=1)]
"""The most tokens an answer may have."""


class ModelRequest(BaseModel):
    """A request to a model, as far as it matters here; what else it holds is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    model: str
    stream: bool | None = None

    @classmethod
    def read(cls, body: bytes, **elsewhere: Any) -> Self | Refusal:
        """The request in a JSON body and `elsewhere` (its path, its headers), or why there is none."""
        try:
            if not elsewhere:
                return cls.model_validate_json(body)
            values: object = json.loads(body)
            return cls.model_validate((cast("dict[str, Any]", values) if isinstance(values, dict) else {}) | elsewhere)
        except ValidationError as error:
            return _bad_request(error)
        except ValueError as error:
            return _not_json(str(error))

    @property
    def with_tools(self) -> bool:
        """Whether it offers tools."""
        return False

    @property
    def with_images(self) -> bool:
        """Whether it holds an image."""
        return False

    @property
    def called_tool(self) -> str | None:
        """The function that the answer calls, if any.  Raises ValueError if one is demanded that is not on offer."""
        return None

    @property
    def answer_schema(self) -> object:
        """The JSON Schema of the call's arguments, or of the text; None: the text is prose."""
        return None

    @property
    def stop_sequences(self) -> Sequence[str]:
        """What ends the answer, and is not in it."""
        return ()

    @model_validator(mode="after")
    def _it_can_be_answered(self) -> Self:
        if self.answer_schema is not None:
            instance(self.answer_schema)
        return self

    @abstractmethod
    def reply(self, host: str) -> Reply:
        """The reply of the host of that name: `Streamed` if the request asks for it."""

    def text(self, host: str, texts: Sequence[str], limit: int | None) -> Text:
        """The answer to the last of the user's texts, of `limit` tokens at most; or the arguments of a tool call."""
        schema = self.answer_schema
        if self.called_tool:
            return Text(tuple(split(json.dumps(instance(schema)))))
        last = texts[-1] if texts else ""
        whole = f"{host} (simulated) answers as {self.model}: {last[:ECHO_CHARACTERS]}"
        if schema is not None:
            whole = json.dumps({"answer": whole} if schema == ANY_OBJECT else instance(schema))
        kept = min((whole.partition(stop)[0] for stop in self.stop_sequences if stop), key=len, default=whole)
        tokens = split(kept)
        cut = limit is not None and len(tokens) > limit
        return Text(tuple(tokens[:limit]), cut=cut, stopped=not cut and kept != whole)

    @property
    def wants(self) -> Iterable[Want]:
        """What it asks for that not every host takes."""
        yield Want("streaming", bool(self.stream), "streaming", "stream")
        yield Want("tools", self.with_tools, "tool use", "tools")
        tools_while_streaming = self.with_tools and bool(self.stream)
        yield Want("tools_while_streaming", tools_while_streaming, "tool use in streaming mode", "tools")
        yield Want("vision", self.with_images, "image input", "messages")

    def unsupported(self, model: Takes) -> Refusal | None:
        """400: something that this model does not do at this host."""
        for want in self.wants:
            if want.wanted and want.fact in model.refused:
                message = f"This model doesn't support {want.what}."
                return Refusal(400, message, code="unsupported_value", param=want.param)
        return None


ANY_OBJECT: Mapping[str, str] = {"type": "object"}
"""The schema of an answer in JSON mode."""

_CALLING = 4
"""Of so many texts one has a tool called that none of them names."""


def chosen_tool(text: str, offered: Sequence[str]) -> str | None:
    """The function that the model calls when it may: the first that the user's text names, or at times the first."""
    named = next((name for name in offered if re.search(rf"\b{re.escape(name)}\b", text)), None)
    return named or next(iter(offered if crc32(text.encode()) % _CALLING == 0 else ()), None)


def demanded_tool(choice: object, chosen: str | None, offered: Sequence[str]) -> str | None:
    """The function that a `tool_choice` of OpenAI's demands: `chosen`, which it names, or the first on offer."""
    if choice == "required":
        chosen = offered[0] if offered else None
    elif choice is None or isinstance(choice, str):
        return None
    if chosen is None or chosen not in offered:
        raise ValueError("tool_choice asks for a function that tools does not hold")
    return chosen


class HttpRequest:
    """A request as it came in; `prefix` is the path of the host's base URL."""

    def __init__(self, scope: Scope, prefix: str = "", body: bytes = b"") -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: str = scope["raw_path"].decode("latin-1")
        """As it came, percent signs and all, without the query."""
        self.query: str = scope["query_string"].decode("latin-1")
        self.route = self.path.removeprefix(prefix) if self.path.startswith(prefix) else None
        """The rest after the prefix; None: the path begins in another way."""
        self.headers = Headers(scope=scope)
        self.body = body

    def unknown_path(self, hint: str) -> Refusal:
        """404: nothing is at this path."""
        return Refusal(404, f"Unknown request URL: {self.method} {self.path}; {hint}.", code="unknown_url")

    def wrong_method(self) -> Refusal:
        """405: something is at this path, for another method."""
        return Refusal(405, f"Not allowed here: {self.method} {self.path}.", code="method_not_supported")


@dataclass(frozen=True)
class ErrorAnswer:
    """A refusal in the words of a protocol."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Dialect(ABC):
    """A protocol of hosts, as far as protocols differ for the wire."""

    id_header = "x-request-id"
    """The header in which a host says by which id it knows a request."""

    @abstractmethod
    def parse(self, host: SimulatedHost, request: HttpRequest) -> ModelRequest | Whole | Refusal:
        """The request for a model's answer, something else that is answered at once, or why it is neither."""

    @abstractmethod
    def error(self, refusal: Refusal, message: str) -> ErrorAnswer:
        """A refusal in the protocol's own words; `message` is that of the refusal, with the host's name."""

    def check_credential(self, host: SimulatedHost, request: HttpRequest) -> Refusal | None:
        """The refusal of a missing or wrong key; None: it is right, or the host wants none.

        A key is shown as it is: `Authorization: Bearer`, or `api-key`.
        """
        if host.key is None:
            return None
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        keys = [bearer.strip()] if scheme.lower() == "bearer" else []
        if host.header == "api-key":
            keys.append(request.headers.get("api-key", ""))
        if not any(keys):
            where = "an `api-key` header" if host.header == "api-key" else "an `Authorization: Bearer` header"
            return Refusal(401, f"You didn't provide an API key. Provide it in {where}.")
        if any(hmac.compare_digest(key.encode(), host.key.encode()) for key in keys):
            return None
        return Refusal(401, "Incorrect API key provided.", code="invalid_api_key")
