"""Converse's stream of events, as chunks of a chat completion.

The order of the events is: `messageStart`; for each block of content `contentBlockStart` (of a tool call only),
`contentBlockDelta` as often as need be, `contentBlockStop`; then `messageStop`, and `metadata` with the usage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.adapter.chunks import Head
from components.adapter.converse.reply import tokens
from components.adapter.converse.stop import finish_reason
from components.adapter.errors import bad_answer

Event = Mapping[str, Any]


class Chunks:
    """Translates the events of one stream."""

    def __init__(self, head: Head, *, wants_usage: bool) -> None:
        self._head = head
        self._wants_usage = wants_usage
        self._calls: dict[int, int] = {}
        """Per block of content that is a tool call its number among them."""
        self._stopped = False

    def of(self, event: Event) -> Iterator[dict[str, Any]]:
        """The chunks of one event.  Raises ChatError."""
        match event:
            case {"messageStart": _}:
                yield self._head.chunk({"role": "assistant", "content": ""})
            case {"contentBlockStart": {"start": {"toolUse": call}, "contentBlockIndex": block}}:
                number = self._calls[block] = len(self._calls)
                begun = {"index": number, "id": call["toolUseId"], "type": "function"}
                yield self._head.chunk({"tool_calls": [begun | {"function": {"name": call["name"], "arguments": ""}}]})
            case {"contentBlockDelta": {"delta": {"text": text}}}:
                yield self._head.chunk({"content": text})
            case {"contentBlockDelta": {"delta": {"toolUse": call}, "contentBlockIndex": block}}:
                more = {"index": self._calls[block], "function": {"arguments": call["input"]}}
                yield self._head.chunk({"tool_calls": [more]})
            case {"messageStop": {"stopReason": reason}}:
                self._stopped = True
                yield self._head.chunk({}, finish_reason(reason))
            case {"metadata": {"usage": said}} if self._wants_usage:
                yield self._head.usage(tokens(said))
            case _:
                return

    def end(self) -> None:
        """Nothing more comes.  Raises ChatError if something was still to come."""
        if not self._stopped:
            raise bad_answer("the stream broke off")
