"""`POST /chat/completions`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from components.simulated.asked import (
    DONE,
    Asked,
    Choices,
    Limit,
    Reply,
    Streamed,
    StreamOptions,
    Text,
    Whole,
    event,
    head,
    interleaved,
    to_json,
    usage,
    usage_event,
)
from components.simulated.tokens import Content, content_tokens, has_images, said_text


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
