"""An error as a client of OpenAI's API expects it.

Chat completions and their chunks, as OpenAI shapes them.

Server-sent events: those that are sent, and those that are read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

ErrorType = Literal["invalid_request_error", "rate_limit_error", "server_error"]


@dataclass(eq=False)
class ChatError(Exception):
    """What is answered instead of a chat completion."""

    status: int
    message: str
    type: ErrorType = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    """The request's parameter that is wrong: `messages[0].content`."""
    retry_after: str | None = None
    """The value of the header of that name, in the host's own words."""

    def body(self, host: str) -> dict[str, Any]:
        """The JSON of the answer; its message begins with the name of the host."""
        message = f"{host}: {self.message}"
        return {"error": {"message": message, "type": self.type, "param": self.param, "code": self.code}}


def refused(param: str, why: str) -> ChatError:
    """400: this parameter of the request, and why."""
    return ChatError(400, f"{param} {why}", code="invalid_value", param=param)


def unsupported(param: str, why: str) -> ChatError:
    """400: a parameter that OpenAI's API has and this host has not."""
    return ChatError(400, f"{param} {why}", code="unsupported_parameter", param=param)


def no_such_model(model: str) -> ChatError:
    """404: not an id of this host."""
    return ChatError(404, f"there is no model {model!r} here", code="model_not_found", param="model")


def bad_answer(why: str) -> ChatError:
    """502: the host's answer is none; another host may give one."""
    return ChatError(502, why, type="server_error", code="bad_answer")


Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True)
class Head:
    """What an answer and all of its chunks have in common."""

    id: str
    model: str
    created: int
    """Seconds since 1970."""

    def completion(self, message: Mapping[str, Any], finish: Finish, usage: Mapping[str, int] | None) -> dict[str, Any]:
        """An answer in one piece."""
        choice = {"index": 0, "message": dict(message), "logprobs": None, "finish_reason": finish}
        said = {"id": self.id, "object": "chat.completion", "created": self.created, "model": self.model}
        return said | {"choices": [choice]} | ({"usage": dict(usage)} if usage else {})

    def chunk(self, delta: Mapping[str, Any], finish: Finish | None = None) -> dict[str, Any]:
        """A part of an answer."""
        return self._chunk([{"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}])

    def usage(self, usage: Mapping[str, int]) -> dict[str, Any]:
        """The last chunk of a stream that was asked for its usage."""
        return self._chunk([]) | {"usage": dict(usage)}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        said = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
        return said | {"choices": choices}


def usage(prompt: int, answer: int, total: int) -> dict[str, int]:
    """`usage`, in tokens."""
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": total}


def in_chunks(completion: Mapping[str, Any], *, wants_usage: bool) -> Iterator[dict[str, Any]]:
    """A whole answer as a stream of few chunks."""
    head = Head(completion["id"], completion["model"], completion["created"])
    (choice,) = completion["choices"]
    message: Mapping[str, Any] = choice["message"]
    yield head.chunk({"role": "assistant", "content": ""})
    if message["content"]:
        yield head.chunk({"content": message["content"]})
    calls: list[dict[str, Any]] = message.get("tool_calls", [])
    if calls:
        yield head.chunk({"tool_calls": [{"index": number} | call for number, call in enumerate(calls)]})
    yield head.chunk({}, choice["finish_reason"])
    if wants_usage and "usage" in completion:
        yield head.usage(completion["usage"])


DONE = b"data: [DONE]\n\n"
"""The end of a stream of OpenAI's."""


def event(data: object) -> bytes:
    """An event without a name, as OpenAI sends it."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


@dataclass(frozen=True)
class Event:
    """An event that was read."""

    name: str
    data: str


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Event]:
    """The events of a stream, as WHATWG's HTML standard has them; one that is not ended is left out."""
    name, data = "", list[str]()
    async for line in _lines(chunks):
        if not line:
            if data:
                yield Event(name or "message", "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """Lines that end as these streams end them; the other ends of lines that Unicode knows are part of a text."""
    pending = b""
    async for chunk in chunks:
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")
