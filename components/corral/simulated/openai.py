"""Keys that a request shows as they are: `Authorization: Bearer`, or `api-key`.

`POST /chat/completions`.

`POST /completions`.

`POST /embeddings`: vectors of length 1, the same for the same host, model id, input and number of dimensions.

OpenAI's protocol.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import struct
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from corral.simulated.faults import Faults
from corral.simulated.hosts import SimulatedHost
from corral.simulated.requests import (
    DONE,
    Asked,
    Choices,
    Limit,
    Refusal,
    Reply,
    Request,
    Said,
    Streamed,
    StreamOptions,
    Text,
    Whole,
    event,
    head,
    interleaved,
    no_credential,
    no_path,
    to_json,
    usage,
    usage_event,
    wrong_credential,
    wrong_method,
)
from corral.simulated.responses import ResponseRequest
from corral.simulated.tokens import (
    Content,
    Prompt,
    Prompts,
    content_tokens,
    each,
    has_images,
    prompts_tokens,
    said_text,
)


def locked(host: SimulatedHost, request: Request) -> Refusal | None:
    """The refusal of a missing or wrong key; None: it is right, or the host wants none."""
    if host.key is None:
        return None
    scheme, _, bearer = request.header("authorization").partition(" ")
    given = [bearer.strip()] if scheme.lower() == "bearer" else []
    if host.header == "api-key":
        given.append(request.header("api-key"))
    if not any(given):
        return no_credential(host)
    right = any(hmac.compare_digest(key.encode(), host.key.encode()) for key in given)
    return None if right else wrong_credential()


class Message(BaseModel):
    """A turn of the conversation."""

    role: str
    content: Content = None


class Named(BaseModel):
    """A function, by name."""

    name: str


class Tool(BaseModel):
    """`{"type": "function", "function": {"name": ...}}`, on offer or chosen."""

    type: str
    function: Named | None = None


class ChatRequest(Asked):
    """A chat completion."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    n: Choices | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Tool | None = None

    @model_validator(mode="after")
    def _a_forced_tool_is_on_offer(self) -> Self:
        if self.forced and self.tool is None:
            raise ValueError("tool_choice asks for a function that tools does not hold")
        return self

    @property
    def forced(self) -> bool:
        """Whether the answer must be a tool call."""
        return self.tool_choice == "required" or isinstance(self.tool_choice, Tool)

    @property
    def tool(self) -> str | None:
        """The function a forced tool call names: the chosen one, or the first on offer."""
        offered = [tool.function.name for tool in self.tools or () if tool.function]
        if isinstance(self.tool_choice, Tool):
            name = self.tool_choice.function.name if self.tool_choice.function else None
            return name if name in offered else None
        return offered[0] if offered else None

    @property
    def with_tools(self) -> bool:
        return bool(self.tools)

    @property
    def with_images(self) -> bool:
        return has_images(message.content for message in self.messages)

    def reply(self, host: str) -> Reply:
        said = [said_text(message.content) for message in self.messages if message.role == "user"]
        call = self.tool if self.forced else None
        text = Text(("{}",), cut=False) if call else self.text(host, said[-1] if said else "", self._limit)
        prompt = sum(content_tokens(message.content) for message in self.messages)
        return self._streamed(text, call, prompt) if self.stream else self._whole(text, call, prompt)

    @property
    def _limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def _whole(self, text: Text, call: str | None, prompt: int) -> Whole:
        n = self.n or 1
        message: dict[str, Any] = {"role": "assistant", "content": None if call else str(text), "refusal": None}
        answer = head("chat.completion", "chatcmpl-", self.model) | {
            "choices": [
                {
                    "index": index,
                    "message": message | {"tool_calls": [_tool_call(index, call, str(text))]} if call else message,
                    "logprobs": None,
                    "finish_reason": "tool_calls" if call else text.finish,
                }
                for index in range(n)
            ],
            "usage": usage(prompt, n * len(text.tokens)),
        }
        return Whole(to_json(answer), prompt, n * len(text.tokens))

    def _streamed(self, text: Text, call: str | None, prompt: int) -> Streamed:
        choices = range(self.n or 1)
        wants_usage = bool(self.stream_options and self.stream_options.include_usage)
        common = head("chat.completion.chunk", "chatcmpl-", self.model) | ({"usage": None} if wants_usage else {})

        def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            return event(common | {"choices": [choice]})

        def opening(index: int) -> bytes:
            if call:
                tool_call = {"index": 0} | _tool_call(index, call, "")
                return chunk(index, {"role": "assistant", "content": None, "tool_calls": [tool_call]})
            return chunk(index, {"role": "assistant", "content": ""})

        def token(index: int, said: str) -> bytes:
            if call:
                return chunk(index, {"tool_calls": [{"index": 0, "function": {"arguments": said}}]})
            return chunk(index, {"content": said})

        made = interleaved([token(index, said) for said in text.tokens] for index in choices)
        closing = b"".join(chunk(index, {}, "tool_calls" if call else text.finish) for index in choices)
        if wants_usage:
            closing += usage_event(common, prompt, len(made))
        return Streamed(b"".join(map(opening, choices)), made, closing + DONE, prompt)


def _tool_call(index: int, name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_simulated_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}


class CompletionRequest(Asked):
    """A completion: one choice, or `n`, for each prompt."""

    prompt: Prompts
    max_tokens: Limit | None = None
    n: Choices | None = None
    stream_options: StreamOptions | None = None

    def reply(self, host: str) -> Reply:
        texts = [
            self.text(host, prompt if isinstance(prompt, str) else "", self.max_tokens)
            for prompt in each(self.prompt)
            for _ in range(self.n or 1)
        ]
        return self._streamed(texts) if self.stream else self._whole(texts)

    def _whole(self, texts: list[Text]) -> Whole:
        prompt, made = prompts_tokens(self.prompt), sum(len(text.tokens) for text in texts)
        choices = [_choice(index, str(text), text.finish) for index, text in enumerate(texts)]
        answer = head("text_completion", "cmpl-", self.model)
        return Whole(to_json(answer | {"choices": choices, "usage": usage(prompt, made)}), prompt, made)

    def _streamed(self, texts: list[Text]) -> Streamed:
        prompt = prompts_tokens(self.prompt)
        wants_usage = bool(self.stream_options and self.stream_options.include_usage)
        common = head("text_completion", "cmpl-", self.model) | ({"usage": None} if wants_usage else {})
        made = interleaved(
            [event(common | {"choices": [_choice(index, said, None)]}) for said in text.tokens]
            for index, text in enumerate(texts)
        )
        closing = b"".join(
            event(common | {"choices": [_choice(index, "", text.finish)]}) for index, text in enumerate(texts)
        )
        if wants_usage:
            closing += usage_event(common, prompt, len(made))
        return Streamed(b"", made, closing + DONE, prompt)


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


DIMENSIONS = 16
"""Of a vector, where the request does not say."""


class EmbeddingRequest(Asked):
    """Embeddings of one input or more."""

    input: Prompts
    dimensions: Annotated[int, Field(ge=1, le=4096)] | None = None
    encoding_format: Literal["float", "base64"] | None = None

    def reply(self, host: str) -> Reply:
        vectors = [vector(host, self.model, text, self.dimensions or DIMENSIONS) for text in each(self.input)]
        prompt = prompts_tokens(self.input)
        answer = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": self._encoded(numbers)}
                for index, numbers in enumerate(vectors)
            ],
            "model": self.model,
            "usage": {"prompt_tokens": prompt, "total_tokens": prompt},
        }
        return Whole(to_json(answer), prompt, 0)

    def _encoded(self, numbers: list[float]) -> list[float] | str:
        if self.encoding_format != "base64":
            return numbers
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def vector(host: str, model: str, text: Prompt, dimensions: int) -> list[float]:
    """A vector of length 1 that follows from its arguments."""
    raw = hashlib.shake_256(f"{host}\n{model}\n{text}".encode()).digest(2 * dimensions)
    numbers = [number + 0.5 for number in struct.unpack(f"<{dimensions}h", raw)]
    length = math.hypot(*numbers)
    return [number / length for number in numbers]


_ROUTES: dict[str, type[Asked]] = {
    "/chat/completions": ChatRequest,
    "/completions": CompletionRequest,
    "/embeddings": EmbeddingRequest,
    "/responses": ResponseRequest,
}


class OpenAI:
    """See `dialect.Dialect`."""

    id_header = "x-request-id"

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def asked(self, host: SimulatedHost, request: Request) -> Asked | Whole | Refusal:
        if request.route == "/models":
            return self._models(host) if request.method == "GET" else wrong_method(request)
        kind = _ROUTES.get(request.route or "")
        if kind is None:
            return no_path(request, f"its base URL ends in {host.prefix}")
        return kind.read(request.body) if request.method == "POST" else wrong_method(request)

    def locked(self, host: SimulatedHost, request: Request) -> Refusal | None:
        return locked(host, request)

    def said(self, refusal: Refusal, host: str) -> Said:
        more = () if refusal.retry_after is None else (("retry-after", str(refusal.retry_after)),)
        return Said(refusal.status, refusal.body(host), more)

    def _models(self, host: SimulatedHost) -> Whole:
        faults = {model: self._faults.find(host.name, model) for model in host.models}
        there = sorted(model for model, fault in faults.items() if fault is None or fault.kind != "404")
        data = [{"id": model, "object": "model", "created": 0, "owned_by": host.name} for model in there]
        return Whole(to_json({"object": "list", "data": data}), 0, 0)
