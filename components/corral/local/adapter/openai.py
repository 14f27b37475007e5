"""OpenAI's protocol as the adapter answers in it: errors, chat completions and their chunks, server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from corral.simulated.shapes import ErrorType, error_body

UNSUPPORTED = "unsupported_parameter"
"""The code of an error by which a request goes on to another host, which may take what this one cannot."""


@dataclass(eq=False)
class ChatError(Exception):
    """An answer that is an error."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    """The request's parameter that is wrong: `messages[0].content`."""
    retry_after: str | None = None
    """The value of the header of that name, as the host wrote it."""

    @property
    def type(self) -> ErrorType:
        """OpenAI's type of an error of this status."""
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def body(self, host: str) -> dict[str, Any]:
        """The JSON of the answer; its message begins with the name of the host."""
        return error_body(f"{host}: {self.message}", self.type, self.code, self.param)


def invalid(param: str, why: str) -> ChatError:
    """400: this parameter of the request, and why."""
    return ChatError(400, f"{param} {why}", "invalid_value", param)


def unsupported(param: str, why: str) -> ChatError:
    """400: a parameter that OpenAI's API has and this host has not."""
    return ChatError(400, f"{param} {why}", UNSUPPORTED, param)


def bad_answer(why: str) -> ChatError:
    """502: the host's answer is none; another host may give one."""
    return ChatError(502, why, "bad_answer")


def no_answer(failure: Exception, *, timeout: bool) -> ChatError:
    """502 or 504: the host was not reached, or broke off."""
    if timeout:
        return ChatError(504, "it did not answer in time", "timeout")
    return bad_answer(f"it cannot be asked, or its answer is none ({type(failure).__name__})")


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True)
class Head:
    """The fields that an answer and all of its chunks have in common."""

    id: str
    model: str
    created: int
    """Seconds since 1970."""

    def completion(
        self, message: Mapping[str, Any], finish: FinishReason, usage: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """An answer in one piece; None as its usage: it is not known."""
        message = {"role": "assistant", "content": None, "refusal": None, **message}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion", [choice]) | ({"usage": dict(usage)} if usage else {})

    def chunk(self, delta: Mapping[str, Any], finish: FinishReason | None = None) -> dict[str, Any]:
        """A part of an answer."""
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion.chunk", [choice])

    def usage(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The last chunk of a stream that was asked for its usage."""
        return self._object("chat.completion.chunk", []) | {"usage": dict(usage)}

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}


FIRST_DELTA: Mapping[str, Any] = {"role": "assistant", "content": ""}
"""That of the first chunk of a stream."""


def in_chunks(completion: Mapping[str, Any], *, wants_usage: bool) -> Iterator[dict[str, Any]]:
    """A whole answer as a stream of few chunks."""
    head = Head(completion["id"], completion["model"], completion["created"])
    (choice,) = completion["choices"]
    message: Mapping[str, Any] = choice["message"]
    yield head.chunk(FIRST_DELTA)
    if message["content"]:
        yield head.chunk({"content": message["content"]})
    calls: list[dict[str, Any]] = message.get("tool_calls", [])
    if calls:
        yield head.chunk({"tool_calls": [{"index": number} | call for number, call in enumerate(calls)]})
    yield head.chunk({}, choice["finish_reason"])
    if wants_usage and "usage" in completion:
        yield head.usage(completion["usage"])


@dataclass(frozen=True)
class Event:
    """A server-sent event that was read."""

    name: str
    data: str


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Event]:
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
