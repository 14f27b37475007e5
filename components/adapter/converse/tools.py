"""The tools on offer, and which of them must be called.

Policy.  Converse has no word for `tool_choice: none`.  Not to offer the tools comes to the same, but for a conversation
in which a tool was called already: Converse wants the tools there, so that is refused.
"""

from __future__ import annotations

from typing import Any

from components.adapter.asked import Asked, AssistantMessage, Function, ToolMessage
from components.adapter.errors import unsupported


def tool_config(asked: Asked) -> dict[str, Any] | None:
    """Converse's `toolConfig`; None: no tools.  Raises ChatError."""
    if asked.tool_choice == "none":
        if any(_of_tools(message) for message in asked.messages):
            raise unsupported("tool_choice", "cannot be none once a tool was called: Converse has nothing like it")
        return None
    if not asked.tools:
        return None
    choice = _choice(asked)
    return {"tools": [{"toolSpec": _spec(tool.function)} for tool in asked.tools]} | (
        {"toolChoice": choice} if choice else {}
    )


def _of_tools(message: object) -> bool:
    return isinstance(message, ToolMessage) or (isinstance(message, AssistantMessage) and bool(message.tool_calls))


def _choice(asked: Asked) -> dict[str, Any] | None:
    match asked.tool_choice:
        case None | "none":
            return None
        case "auto":
            return {"auto": {}}
        case "required":
            return {"any": {}}
        case chosen:
            return {"tool": {"name": chosen.function.name}}


def _spec(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        **({"description": function.description} if function.description else {}),
        "inputSchema": {"json": function.parameters or {"type": "object", "properties": {}}},
        **({"strict": True} if function.strict else {}),
    }
