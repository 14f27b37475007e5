"""Paths of other APIs than OpenAI's, at hosts that take them: Anthropic's messages, as vLLM and Fireworks have them,
and Cohere's ranking of documents, as vLLM and Together do.

A document is ranked by its words that are also in the query: the part of all words of the query.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from corral.simulated.instances import instance
from corral.simulated.requests import (
    ANY_OBJECT,
    IMAGE_TOKENS,
    ModelRequest,
    Reply,
    Streamed,
    Text,
    TokenLimit,
    Want,
    Whole,
    chosen_tool,
    count,
    demanded_tool,
)
from corral.simulated.shapes import event, to_json


class Block(BaseModel):
    """A part of a turn: a text, an image, the call of a tool, or what it gave."""

    type: str
    text: str | None = None
    source: dict[str, Any] | None = None
    content: str | list[Block] | None = None


Blocks = str | list[Block] | None


def _blocks(content: Blocks) -> list[Block]:
    """All of them, those within others as well."""
    if content is None or isinstance(content, str):
        return [Block(type="text", text=content)]
    return [each for block in content for each in (block, *_blocks(block.content))]


def _text(content: Blocks) -> str:
    return " ".join(block.text for block in _blocks(content) if block.text)


class Turn(BaseModel):
    role: Literal["user", "assistant"]
    content: Blocks


class MessagesTool(BaseModel):
    name: str
    input_schema: dict[str, Any] | None = None


class ToolChoice(BaseModel):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class MessagesRequest(ModelRequest):
    messages: Annotated[list[Turn], Field(min_length=1)]
    max_tokens: TokenLimit
    system: Blocks = None
    tools: list[MessagesTool] | None = None
    tool_choice: ToolChoice | None = None
    stop_sequences_: Annotated[list[str] | None, Field(alias="stop_sequences")] = None

    @property
    def answer_schema(self) -> object:
        if call := self.called_tool:
            return next(tool.input_schema for tool in self.tools or () if tool.name == call) or ANY_OBJECT
        return None

    @property
    def stop_sequences(self) -> Sequence[str]:
        return self.stop_sequences_ or ()

    @property
    def called_tool(self) -> str | None:
        offered = [tool.name for tool in self.tools or ()]
        last, choice = self.messages[-1], self.tool_choice
        if choice is None or choice.type == "auto":
            asks = last.role == "user" and all(block.type != "tool_result" for block in _blocks(last.content))
            return chosen_tool(_text(last.content), offered) if asks else None
        if choice.type == "none":
            return None
        return demanded_tool("required" if choice.type == "any" else {}, choice.name, offered)

    @property
    def with_tools(self) -> bool:
        return bool(self.tools)

    @property
    def _images(self) -> list[Block]:
        return [block for turn in self.messages for block in _blocks(turn.content) if block.type == "image"]

    @property
    def with_images(self) -> bool:
        return bool(self._images)

    @property
    def wants(self) -> Iterable[Want]:
        yield from super().wants
        yield Want("messages", wanted=True, what="messages")
        forced = self.tool_choice is not None and self.tool_choice.type in ("any", "tool")
        yield Want("tool_choice", self.with_tools and forced, "a forced tool", "tool_choice")
        fetched = any(block.source and block.source.get("type") == "url" for block in self._images)
        yield Want("image_urls", fetched, "images that it has to fetch", "messages")

    def reply(self, host: str) -> Reply:
        call = self.called_tool
        text = self.text(host, [_text(turn.content) for turn in self.messages if turn.role == "user"], self.max_tokens)
        contents = [self.system, *(turn.content for turn in self.messages)]
        prompt = sum(count(_text(content)) for content in contents) + IMAGE_TOKENS * len(self._images)
        head: dict[str, Any] = {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }
        ended = {"stop_reason": self._stop_reason(text, call), "stop_sequence": None}
        if self.stream:
            return _streamed(head, ended, text, call, prompt)
        content: dict[str, Any] = {"type": "text", "text": str(text)}
        if call:
            content = _call(call) | {"input": instance(self.answer_schema)}
        usage = {"input_tokens": prompt, "output_tokens": len(text.tokens)}
        return Whole(to_json(head | ended | {"content": [content], "usage": usage}), prompt, len(text.tokens))

    @staticmethod
    def _stop_reason(text: Text, call: str | None) -> str:
        if call:
            return "tool_use"
        return "max_tokens" if text.cut else "stop_sequence" if text.stopped else "end_turn"


def _call(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex}", "name": name, "input": {}}


def _streamed(head: dict[str, Any], ended: dict[str, Any], text: Text, call: str | None, prompt: int) -> Streamed:
    def named(kind: str, **data: object) -> bytes:
        return event({"type": kind} | data, kind)

    def delta(token: str) -> bytes:
        piece = {"type": "input_json_delta", "partial_json": token} if call else {"type": "text_delta", "text": token}
        return named("content_block_delta", index=0, delta=piece)

    opening = named("message_start", message=head | {"usage": {"input_tokens": prompt, "output_tokens": 0}})
    block = _call(call) if call else {"type": "text", "text": ""}
    opening += named("content_block_start", index=0, content_block=block)
    closing = named("content_block_stop", index=0)
    closing += named("message_delta", delta=ended, usage={"output_tokens": len(text.tokens)}) + named("message_stop")
    return Streamed(opening, tuple(map(delta, text.tokens)), closing, prompt)


class RerankRequest(ModelRequest):
    query: str
    documents: Annotated[list[str | dict[str, Any]], Field(min_length=1)]
    top_n: Annotated[int, Field(ge=1)] | None = None

    @property
    def wants(self) -> Iterable[Want]:
        yield Want("rerank", wanted=True, what="rerank")

    def reply(self, host: str) -> Reply:
        del host
        texts = [each if isinstance(each, str) else str(each.get("text", "")) for each in self.documents]
        query = set(self.query.lower().split())
        scores = [len(query & {*text.lower().split()}) / max(1, len(query)) for text in texts]
        order = sorted(range(len(texts)), key=lambda index: -scores[index])[: self.top_n]
        results = [
            {"index": index, "relevance_score": scores[index], "document": {"text": texts[index]}} for index in order
        ]
        prompt = sum(count(self.query) + count(text) for text in texts)
        answer = {"id": f"rerank-{uuid.uuid4().hex}", "model": self.model, "results": results}
        return Whole(to_json(answer | {"usage": {"total_tokens": prompt}}), prompt, 0)
