"""`POST /responses` of OpenAI's protocol.  Nothing is stored: a response cannot be read again, or be followed up."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from itertools import count as numbers
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from corral.simulated.requests import (
    ANY_OBJECT,
    Content,
    ModelRequest,
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
from corral.simulated.shapes import event, to_json


class Item(BaseModel):
    """An item of the input: a message, or the output of a tool."""

    role: str | None = None
    content: Content = None
    output: Content = None


class Format(BaseModel):
    """`{"type": "json_schema", "name": ..., "schema": {...}}`, or another type alone."""

    type: Literal["text", "json_object", "json_schema"]
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None


class TextFormat(BaseModel):
    format: Format | None = None


class ResponseRequest(ModelRequest):
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: TokenLimit | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text_format: Annotated[TextFormat | None, Field(alias="text")] = None

    @property
    def _functions(self) -> dict[str, dict[str, Any]]:
        return {tool["name"]: tool for tool in self.tools or () if tool.get("type") == "function" and tool.get("name")}

    @property
    def answer_schema(self) -> object:
        if call := self.called_tool:
            return self._functions[call].get("parameters") or ANY_OBJECT
        wanted = self.text_format.format if self.text_format else None
        if wanted is None or wanted.type == "text":
            return None
        return wanted.schema_ or ANY_OBJECT

    @property
    def wants(self) -> Iterable[Want]:
        yield from super().wants
        yield Want("responses", wanted=True, what="responses")

    @property
    def called_tool(self) -> str | None:
        offered = [*self._functions]
        last = self._items[-1]
        if self.tool_choice in (None, "auto") and last.role == "user":
            return chosen_tool(text_of(last.content), offered)
        chosen = self.tool_choice.get("name") if isinstance(self.tool_choice, dict) else None
        return demanded_tool(self.tool_choice, chosen, offered)

    @property
    def with_tools(self) -> bool:
        return bool(self.tools)

    @property
    def with_images(self) -> bool:
        return has_images(self._contents)

    @property
    def _items(self) -> list[Item]:
        return [Item(role="user", content=self.input)] if isinstance(self.input, str) else self.input

    @property
    def _contents(self) -> list[Content]:
        return [content for item in self._items for content in (item.content, item.output)]

    def reply(self, host: str) -> Reply:
        texts = [text_of(item.content) for item in self._items if item.role == "user"]
        call = self.called_tool
        text = self.text(host, texts, self.max_output_tokens)
        prompt = sum(map(content_tokens, self._contents)) + count(self.instructions or "")
        begun = self._begun()
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
    answer = len(text.tokens)
    return begun | {
        "status": "incomplete" if text.cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if text.cut else None,
        "output": [_item(begun["id"].removeprefix("resp_"), text, call)],
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": answer,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + answer,
        },
    }


def _streamed(begun: dict[str, Any], ended: dict[str, Any], text: Text, call: str | None, prompt: int) -> Streamed:
    (item,) = ended["output"]
    place = {"item_id": item["id"], "output_index": 0}
    number = numbers()

    def numbered(kind: str, **data: object) -> bytes:
        kind = f"response.{kind}"
        return event({"type": kind, "sequence_number": next(number)} | data, kind)

    opening = numbered("created", response=begun) + numbered("in_progress", response=begun)
    if call:
        empty = item | {"status": "in_progress", "arguments": ""}
        opening += numbered("output_item.added", output_index=0, item=empty)
        tokens = tuple(numbered("function_call_arguments.delta", **place, delta=token) for token in text.tokens)
        closing = numbered("function_call_arguments.done", **place, name=call, arguments=str(text))
    else:
        place |= {"content_index": 0}
        empty = item | {"status": "in_progress", "content": []}
        opening += numbered("output_item.added", output_index=0, item=empty)
        opening += numbered("content_part.added", **place, part=_part(""))
        tokens = tuple(numbered("output_text.delta", **place, delta=token, logprobs=[]) for token in text.tokens)
        closing = numbered("output_text.done", **place, text=str(text), logprobs=[])
        closing += numbered("content_part.done", **place, part=_part(str(text)))
    closing += numbered("output_item.done", output_index=0, item=item) + numbered(ended["status"], response=ended)
    return Streamed(opening, tokens, closing, prompt)


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item(name: str, text: Text, call: str | None) -> dict[str, Any]:
    if call:
        function = {"call_id": f"call_{name}", "name": call, "arguments": str(text)}
        return {"id": f"fc_{name}", "type": "function_call", "status": "completed"} | function
    return {
        "id": f"msg_{name}",
        "type": "message",
        "status": "incomplete" if text.cut else "completed",
        "role": "assistant",
        "content": [_part(str(text))],
    }
