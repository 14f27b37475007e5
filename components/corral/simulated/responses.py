"""`POST /responses`.  Nothing is stored: a response cannot be read again, or be followed up by its id."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from corral.simulated.requests import Asked, Limit, Reply, Streamed, Text, Whole, to_json
from corral.simulated.tokens import Content, content_tokens, count, has_images, said_text


class Item(BaseModel):
    """An item of the input: a message, or what a tool gave."""

    role: str | None = None
    content: Content = None
    output: Content = None

    @property
    def contents(self) -> tuple[Content, Content]:
        """All it says."""
        return self.content, self.output


class ResponseRequest(Asked):
    """A response."""

    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Limit | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None

    @model_validator(mode="after")
    def _a_forced_tool_is_on_offer(self) -> Self:
        if self.forced and self.tool is None:
            raise ValueError("tool_choice asks for a function that tools does not hold")
        return self

    @property
    def forced(self) -> bool:
        """Whether the answer must be a tool call."""
        return self.tool_choice == "required" or isinstance(self.tool_choice, dict)

    @property
    def tool(self) -> str | None:
        """The function a forced tool call names: the chosen one, or the first on offer."""
        offered = [tool.get("name") for tool in self.tools or () if tool.get("type") == "function"]
        if isinstance(self.tool_choice, dict):
            return self.tool_choice.get("name") if self.tool_choice.get("name") in offered else None
        return offered[0] if offered else None

    @property
    def with_tools(self) -> bool:
        return bool(self.tools)

    @property
    def with_images(self) -> bool:
        return has_images(content for item in self._items for content in item.contents)

    @property
    def _prompt_tokens(self) -> int:
        said = sum(content_tokens(content) for item in self._items for content in item.contents)
        return said + count(self.instructions or "")

    @property
    def _items(self) -> list[Item]:
        return [Item(role="user", content=self.input)] if isinstance(self.input, str) else self.input

    def reply(self, host: str) -> Reply:
        said = [said_text(item.content) for item in self._items if item.role == "user"]
        call = self.tool if self.forced else None
        text = Text(("{}",), cut=False) if call else self.text(host, said[-1] if said else "", self.max_output_tokens)
        begun, prompt = self._begun(), self._prompt_tokens
        ended = _ended(begun, text, call, prompt)
        if not self.stream:
            return Whole(to_json(ended), prompt, len(text.tokens))
        return _streamed(begun, ended, text, call, prompt)

    def _begun(self) -> dict[str, Any]:
        return {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "model": self.model,
            "output": [],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "temperature": None,
            "tool_choice": self.tool_choice or "auto",
            "tools": self.tools or [],
            "top_p": None,
            "metadata": {},
            "usage": None,
        }


def _ended(begun: dict[str, Any], text: Text, call: str | None, prompt: int) -> dict[str, Any]:
    made = len(text.tokens)
    return begun | {
        "status": "incomplete" if text.cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if text.cut else None,
        "output": [_item(begun["id"], text, call)],
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + made,
        },
    }


def _streamed(begun: dict[str, Any], ended: dict[str, Any], text: Text, call: str | None, prompt: int) -> Streamed:
    (item,) = ended["output"]
    place = {"item_id": item["id"], "output_index": 0}
    events = _Events()
    opening = events.of("created", response=begun) + events.of("in_progress", response=begun)
    if call:
        unsaid = item | {"status": "in_progress", "arguments": ""}
        opening += events.of("output_item.added", output_index=0, item=unsaid)
        made = tuple(events.of("function_call_arguments.delta", **place, delta=said) for said in text.tokens)
        closing = events.of("function_call_arguments.done", **place, name=call, arguments=str(text))
    else:
        place |= {"content_index": 0}
        opening += events.of("output_item.added", output_index=0, item=item | {"status": "in_progress", "content": []})
        opening += events.of("content_part.added", **place, part=_part(""))
        made = tuple(events.of("output_text.delta", **place, delta=said, logprobs=[]) for said in text.tokens)
        closing = events.of("output_text.done", **place, text=str(text), logprobs=[])
        closing += events.of("content_part.done", **place, part=_part(str(text)))
    closing += events.of("output_item.done", output_index=0, item=item)
    return Streamed(opening, made, closing + events.of(ended["status"], response=ended), prompt)


class _Events:
    """Server-sent events, named and numbered."""

    def __init__(self) -> None:
        self._number = 0

    def of(self, event: str, **data: object) -> bytes:
        kind = f"response.{event}"
        said = {"type": kind, "sequence_number": self._number} | data
        self._number += 1
        return f"event: {kind}\ndata: ".encode() + to_json(said) + b"\n\n"


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item(response: str, text: Text, call: str | None) -> dict[str, Any]:
    own = response.removeprefix("resp_")
    if call:
        return {
            "id": f"fc_{own}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{own}",
            "name": call,
            "arguments": str(text),
        }
    return {
        "id": f"msg_{own}",
        "type": "message",
        "status": "incomplete" if text.cut else "completed",
        "role": "assistant",
        "content": [_part(str(text))],
    }
