"""OpenAI's protocol at a stand-in: chat completions, completions, embeddings, the list of models; `responses` and paths
of other APIs stand elsewhere.

Vectors have the length 1, and are the same for the same host, model id, input and number of dimensions.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from corral.simulated.hosts import SimulatedHost
from corral.simulated.other_apis import MessagesRequest, RerankRequest
from corral.simulated.requests import (
    ANY_OBJECT,
    Content,
    Dialect,
    ErrorAnswer,
    HttpRequest,
    ModelRequest,
    Refusal,
    Reply,
    Streamed,
    Text,
    TokenLimit,
    Want,
    Whole,
    chosen_tool,
    content_tokens,
    count,
    demanded_tool,
    has_images,
    text_of,
)
from corral.simulated.responses import ResponseRequest
from corral.simulated.shapes import DONE, error_body, event, to_json, usage
from corral.simulated.simulation import Faults

Choices = Annotated[int, Field(ge=1, le=128)]
"""`n`; 128 is OpenAI's own limit."""


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class Message(BaseModel):
    role: str
    content: Content = None


class Named(BaseModel):
    name: str
    parameters: dict[str, Any] | None = None


class JsonSchema(BaseModel):
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None


class ResponseFormat(BaseModel):
    """`{"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}`, or another type alone."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Tool(BaseModel):
    """`{"type": "function", "function": {"name": ...}}`, on offer or chosen."""

    type: str
    function: Named | None = None

    @property
    def name(self) -> str | None:
        return self.function.name if self.function else None


class _CompletionRequest(ModelRequest):
    """The parameters that chat completions and completions have in common."""

    max_tokens: TokenLimit | None = None
    n: Choices | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream_options: StreamOptions | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    @property
    def wants(self) -> Iterable[Want]:
        yield from super().wants
        yield Want("choices", (self.n or 1) > 1, "n above 1", "n")
        yield Want("seed", self.seed is not None, "seed", "seed")
        yield Want("penalties", bool(self.presence_penalty or self.frequency_penalty), "penalties", "presence_penalty")

    @property
    def stop_sequences(self) -> Sequence[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or ()

    def _head(self, kind: str, prefix: str) -> dict[str, Any]:
        """The beginning of an answer, or of each of its chunks."""
        return {
            "id": f"{prefix}{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self.model,
            "system_fingerprint": "simulated",
        } | ({"usage": None} if self.stream and self._wants_usage else {})

    @property
    def _wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def _closed(self, head: dict[str, Any], closing: bytes, prompt: int, answer: int) -> bytes:
        """The end of a stream; the usage comes with no choices."""
        if self._wants_usage:
            closing += event(head | {"choices": list[object](), "usage": usage(prompt, answer)})
        return closing + DONE


class ChatRequest(_CompletionRequest):
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: TokenLimit | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Tool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def answer_schema(self) -> object:
        if call := self.called_tool:
            function = next(tool.function for tool in self.tools or () if tool.name == call)
            return (function and function.parameters) or ANY_OBJECT
        match self.response_format:
            case ResponseFormat(type="json_schema", json_schema=JsonSchema(schema_=dict() as schema)):
                return schema
            case ResponseFormat(type="json_object" | "json_schema"):
                return ANY_OBJECT
            case _:
                return None

    @property
    def wants(self) -> Iterable[Want]:
        yield from super().wants
        forced = self.with_tools and self.tool_choice not in (None, "auto", "none")
        yield Want("tool_choice", forced, "a forced tool", "tool_choice")
        yield Want("logprobs", bool(self.logprobs or self.top_logprobs), "logprobs", "logprobs")
        kind = self.response_format and self.response_format.type
        yield Want("json_mode", kind == "json_object", "JSON mode", "response_format")
        yield Want("json_schema", kind == "json_schema", "JSON schemas", "response_format")
        fetched = any(
            part.is_fetched for each in self.messages if isinstance(each.content, list) for part in each.content
        )
        yield Want("image_urls", fetched, "images that it has to fetch", "messages")

    @property
    def called_tool(self) -> str | None:
        chosen = self.tool_choice.name if isinstance(self.tool_choice, Tool) else None
        offered = [tool.name for tool in self.tools or () if tool.name]
        if self.tool_choice in (None, "auto") and self.messages[-1].role == "user":
            return chosen_tool(text_of(self.messages[-1].content), offered)
        return demanded_tool(self.tool_choice, chosen, offered)

    @property
    def with_tools(self) -> bool:
        return bool(self.tools)

    @property
    def with_images(self) -> bool:
        return has_images(message.content for message in self.messages)

    def reply(self, host: str) -> Reply:
        texts = [text_of(message.content) for message in self.messages if message.role == "user"]
        call = self.called_tool
        text = self.text(host, texts, self.max_completion_tokens or self.max_tokens)
        prompt = sum(content_tokens(message.content) for message in self.messages)
        return self._streamed(text, call, prompt) if self.stream else self._whole(text, call, prompt)

    def _whole(self, text: Text, call: str | None, prompt: int) -> Whole:
        n = self.n or 1
        message: dict[str, Any] = {"role": "assistant", "content": None if call else str(text), "refusal": None}
        answer = self._head("chat.completion", "chatcmpl-") | {
            "choices": [
                {
                    "index": index,
                    "message": message | {"tool_calls": [_tool_call(index, call, str(text))]} if call else message,
                    "logprobs": None if call else self._logprobs(text.tokens),
                    "finish_reason": "tool_calls" if call else text.finish,
                }
                for index in range(n)
            ],
            "usage": usage(prompt, n * len(text.tokens)),
        }
        return Whole(to_json(answer), prompt, n * len(text.tokens))

    def _streamed(self, text: Text, call: str | None, prompt: int) -> Streamed:
        choices = range(self.n or 1)
        head = self._head("chat.completion.chunk", "chatcmpl-")

        def chunk(index: int, delta: dict[str, Any], finish: str | None = None, *tokens: str) -> bytes:
            logprobs = self._logprobs(tokens) if tokens else None
            choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            return event(head | {"choices": [choice]})

        def opening(index: int) -> bytes:
            if call:
                tool_call = {"index": 0} | _tool_call(index, call, "")
                return chunk(index, {"role": "assistant", "content": None, "tool_calls": [tool_call]})
            return chunk(index, {"role": "assistant", "content": ""})

        def delta(index: int, token: str) -> bytes:
            if call:
                return chunk(index, {"tool_calls": [{"index": 0, "function": {"arguments": token}}]})
            return chunk(index, {"content": token}, None, token)

        tokens = _interleaved([delta(index, token) for token in text.tokens] for index in choices)
        closing = b"".join(chunk(index, {}, "tool_calls" if call else text.finish) for index in choices)
        return Streamed(
            b"".join(map(opening, choices)), tokens, self._closed(head, closing, prompt, len(tokens)), prompt
        )

    def _logprobs(self, tokens: Iterable[str]) -> dict[str, Any] | None:
        """Every token was certain, and has no alternative."""
        if not self.logprobs:
            return None
        certain = [{"token": token, "logprob": 0.0, "bytes": list(token.encode())} for token in tokens]
        content = [one | {"top_logprobs": [one] if self.top_logprobs else []} for one in certain]
        return {"content": content, "refusal": None}


def _tool_call(index: int, name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_simulated_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _interleaved(answers: Iterable[Iterable[bytes]]) -> tuple[bytes, ...]:
    """The events of several answers in the order in which they are made side by side: first tokens first."""
    queues = [list(answer) for answer in answers]
    longest = max(map(len, queues), default=0)
    return tuple(queue[place] for place in range(longest) for queue in queues if place < len(queue))


Prompt = str | list[int]
"""A text, or token ids."""

Prompts = str | Annotated[list[int], Field(min_length=1)] | Annotated[list[Prompt], Field(min_length=1)]
"""One prompt or more, as completions and embeddings take them."""


def _each(prompts: Prompts) -> list[Prompt]:
    """The prompts, one by one."""
    if isinstance(prompts, str):
        return [prompts]
    several = [part for part in prompts if not isinstance(part, int)]
    return several or [[part for part in prompts if isinstance(part, int)]]


def prompts_tokens(prompts: Prompts) -> int:
    """The number of tokens in all of them."""
    return sum(count(prompt) if isinstance(prompt, str) else len(prompt) for prompt in _each(prompts))


class TextRequest(_CompletionRequest):
    """A completion: one choice, or `n`, for each prompt."""

    prompt: Prompts
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None

    @property
    def wants(self) -> Iterable[Want]:
        yield from super().wants
        yield Want("completions", wanted=True, what="completions")
        yield Want("logprobs", self.logprobs is not None, "logprobs", "logprobs")

    def reply(self, host: str) -> Reply:
        texts = [
            self.text(host, [prompt] if isinstance(prompt, str) else [], self.max_tokens)
            for prompt in _each(self.prompt)
            for _ in range(self.n or 1)
        ]
        prompt = prompts_tokens(self.prompt)
        head = self._head("text_completion", "cmpl-")
        if self.stream:
            return self._streamed(head, texts, prompt)
        choices = [self._choice(index, text.tokens, text.finish) for index, text in enumerate(texts)]
        answer = sum(len(text.tokens) for text in texts)
        return Whole(to_json(head | {"choices": choices, "usage": usage(prompt, answer)}), prompt, answer)

    def _streamed(self, head: dict[str, Any], texts: Sequence[Text], prompt: int) -> Streamed:
        def chunk(index: int, tokens: Sequence[str], finish: str | None, place: int = 0) -> bytes:
            return event(head | {"choices": [self._choice(index, tokens, finish, place)]})

        tokens = _interleaved(
            [
                chunk(index, [token], None, len("".join(text.tokens[:number])))
                for number, token in enumerate(text.tokens)
            ]
            for index, text in enumerate(texts)
        )
        closing = b"".join(chunk(index, (), text.finish) for index, text in enumerate(texts))
        return Streamed(b"", tokens, self._closed(head, closing, prompt, len(tokens)), prompt)

    def _choice(self, index: int, tokens: Sequence[str], finish: str | None, place: int = 0) -> dict[str, Any]:
        """`place` is where the tokens begin in the whole text, in characters."""
        logprobs = None
        if self.logprobs is not None and tokens:  # every token was certain
            logprobs = {
                "tokens": [*tokens],
                "token_logprobs": [0.0] * len(tokens),
                "top_logprobs": [{token: 0.0} for token in tokens] if self.logprobs else None,
                "text_offset": [place + len("".join(tokens[:number])) for number in range(len(tokens))],
            }
        return {"index": index, "text": "".join(tokens), "logprobs": logprobs, "finish_reason": finish}


DIMENSIONS = 16
"""The length of a list of numbers where the request does not say another."""


class EmbeddingRequest(ModelRequest):
    """Embeddings of one input or more."""

    input: Prompts
    dimensions: Annotated[int, Field(ge=1, le=4096)] | None = None
    encoding_format: Literal["float", "base64"] | None = None

    @property
    def wants(self) -> Iterable[Want]:
        yield Want("embeddings", wanted=True, what="embeddings")

    def reply(self, host: str) -> Reply:
        prompt = prompts_tokens(self.input)
        answer = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": self._encoded(self._vector(host, text))}
                for index, text in enumerate(_each(self.input))
            ],
            "model": self.model,
            "usage": {"prompt_tokens": prompt, "total_tokens": prompt},
        }
        return Whole(to_json(answer), prompt, 0)

    def _vector(self, host: str, text: Prompt) -> list[float]:
        dimensions = self.dimensions or DIMENSIONS
        raw = hashlib.shake_256(f"{host}\n{self.model}\n{text}".encode()).digest(2 * dimensions)
        numbers = [number + 0.5 for number in struct.unpack(f"<{dimensions}h", raw)]
        length = math.hypot(*numbers)
        return [number / length for number in numbers]

    def _encoded(self, numbers: list[float]) -> list[float] | str:
        if self.encoding_format != "base64":
            return numbers
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


_ROUTES: dict[str, type[ModelRequest]] = {
    "/chat/completions": ChatRequest,
    "/completions": TextRequest,
    "/embeddings": EmbeddingRequest,
    "/responses": ResponseRequest,
    "/messages": MessagesRequest,
    "/rerank": RerankRequest,
}


class OpenAI(Dialect):
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def parse(self, host: SimulatedHost, request: HttpRequest) -> ModelRequest | Whole | Refusal:
        if request.route == "/models":
            return self._models(host) if request.method == "GET" else request.wrong_method()
        kind = _ROUTES.get(request.route or "")
        if kind is None:
            return request.unknown_path(f"its base URL ends in {host.prefix}")
        return kind.read(request.body) if request.method == "POST" else request.wrong_method()

    def error(self, refusal: Refusal, message: str) -> ErrorAnswer:
        return ErrorAnswer(refusal.status, to_json(error_body(message, refusal.type, refusal.code, refusal.param)))

    def _models(self, host: SimulatedHost) -> Whole:
        faults = {model: self._faults.find(host.name, model) for model in host.models}
        present = sorted(model for model, fault in faults.items() if fault is None or fault.kind != "404")
        data = [{"id": model, "object": "model", "created": 0, "owned_by": host.name} for model in present]
        return Whole(to_json({"object": "list", "data": data}), 0, 0)
