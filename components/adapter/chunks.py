"""Chat completions and their chunks, as OpenAI shapes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
