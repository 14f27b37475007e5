"""`POST /model/<id>/converse` and `/converse-stream`, in the shapes of botocore's `bedrock-runtime`, 2023-09-30.

It is strict where Bedrock is known to be: turns alternate and the user's comes first, no text is blank, and a
conversation in which a tool was called has tools.  The words of these refusals are Bedrock's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, JsonValue, model_validator

from components.simulated import eventstream
from components.simulated.asked import Asked, Limit, Reply, Streamed, Text, Whole, to_json
from components.simulated.tokens import IMAGE_TOKENS, count


class Named(BaseModel):
    """A tool, by name."""

    name: str


class ToolSpec(BaseModel):
    """A tool on offer."""

    tool_spec: Annotated[Named, Field(alias="toolSpec")]


class ToolChoice(BaseModel):
    """Which tool must be called, if any."""

    auto: dict[str, JsonValue] | None = None
    any: dict[str, JsonValue] | None = None
    tool: Named | None = None


class ToolConfig(BaseModel):
    """The tools."""

    tools: Annotated[list[ToolSpec], Field(min_length=1)]
    choice: Annotated[ToolChoice | None, Field(alias="toolChoice")] = None


class Image(BaseModel):
    """An image; its bytes are not looked at."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: dict[Literal["bytes"], str]


class Block(BaseModel):
    """A part of a turn, or of what a tool gave."""

    text: str | None = None
    image: Image | None = None
    tool_use: Annotated[dict[str, JsonValue] | None, Field(alias="toolUse")] = None
    tool_result: Annotated[ToolResult | None, Field(alias="toolResult")] = None

    @property
    def tokens(self) -> int:
        """What it counts; a tool call counts nothing."""
        given = sum(block.tokens for block in self.tool_result.content) if self.tool_result else 0
        return count(self.text or "") + (IMAGE_TOKENS if self.image else 0) + given


class ToolResult(BaseModel):
    """What a tool gave."""

    tool_use_id: Annotated[str, Field(alias="toolUseId")]
    content: list[Block]


class Turn(BaseModel):
    """What one side says."""

    role: Literal["user", "assistant"]
    content: Annotated[list[Block], Field(min_length=1)]


class Inference(BaseModel):
    """How to answer."""

    max_tokens: Annotated[Limit | None, Field(alias="maxTokens")] = None


class ConverseRequest(Asked):
    """A question; `model` and `stream` are in the path."""

    messages: Annotated[list[Turn], Field(min_length=1)]
    system: Annotated[list[Block], Field(default=[])]
    inference: Annotated[Inference, Field(alias="inferenceConfig")] = Inference()
    tools: Annotated[ToolConfig | None, Field(alias="toolConfig")] = None

    @model_validator(mode="after")
    def _it_is_as_bedrock_wants_it(self) -> Self:
        if self.messages[0].role != "user":
            raise ValueError(
                "A conversation must start with a user message. Try again with a conversation that starts with a user "
                "message."
            )
        if any(one.role == next_.role for one, next_ in zip(self.messages, self.messages[1:], strict=False)):
            raise ValueError(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )
        for turn, block in self._blocks():
            if block.text is not None and not block.text.strip():
                raise ValueError(
                    f"The text field in the ContentBlock object at messages.{turn} is blank. Add text to the text "
                    "field, and try again."
                )
        if self.tools is None and any(block.tool_use or block.tool_result for _, block in self._blocks()):
            raise ValueError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        return self

    def _blocks(self) -> Iterator[tuple[str, Block]]:
        for number, turn in enumerate(self.messages):
            for place, block in enumerate(turn.content):
                yield f"{number}.content.{place}", block

    @property
    def with_tools(self) -> bool:
        return self.tools is not None

    @property
    def with_images(self) -> bool:
        return any(block.image for _, block in self._blocks())

    def reply(self, host: str) -> Reply:
        said = [
            " ".join(texts)
            for turn in self.messages
            if turn.role == "user" and (texts := [block.text for block in turn.content if block.text])
        ]
        call = self._call()
        text = (
            Text(("{}",), cut=False) if call else self.text(host, said[-1] if said else "", self.inference.max_tokens)
        )
        prompt = sum(block.tokens for block in (*self.system, *(block for _, block in self._blocks())))
        reason = "tool_use" if call else "max_tokens" if text.cut else "end_turn"
        usage = {"inputTokens": prompt, "outputTokens": len(text.tokens), "totalTokens": prompt + len(text.tokens)}
        if self.stream:
            return _streamed(text, call, reason, usage)
        block: dict[str, Any] = {"toolUse": _tool_use(call) | {"input": {}}} if call else {"text": str(text)}
        answer: dict[str, Any] = {
            "output": {"message": {"role": "assistant", "content": [block]}},
            "stopReason": reason,
            "usage": usage,
            "metrics": {"latencyMs": 1},
        }
        return Whole(to_json(answer), prompt, len(text.tokens))

    def _call(self) -> str | None:
        """The tool that must be called: the chosen one, or the first on offer."""
        choice = self.tools.choice if self.tools else None
        if self.tools is None or choice is None or (choice.any is None and choice.tool is None):
            return None
        return choice.tool.name if choice.tool else self.tools.tools[0].tool_spec.name


def _streamed(text: Text, call: str | None, reason: str, usage: dict[str, int]) -> Streamed:
    opening = eventstream.event("messageStart", {"role": "assistant"})
    if call:
        begun = {"start": {"toolUse": _tool_use(call)}, "contentBlockIndex": 0}
        opening += eventstream.event("contentBlockStart", begun)

    def token(said: str) -> bytes:
        delta: dict[str, Any] = {"toolUse": {"input": said}} if call else {"text": said}
        return eventstream.event("contentBlockDelta", {"delta": delta, "contentBlockIndex": 0})

    return Streamed(
        opening,
        tuple(map(token, text.tokens)),
        eventstream.event("contentBlockStop", {"contentBlockIndex": 0})
        + eventstream.event("messageStop", {"stopReason": reason})
        + eventstream.event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
        usage["inputTokens"],
        eventstream.CONTENT_TYPE,
    )


def _tool_use(name: str) -> dict[str, Any]:
    return {"toolUseId": "tooluse_simulated_0", "name": name}
