"""LangChain's `ChatOpenAI`."""

# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from typing import Any

import httpx
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.clients.kinds import Counted, make


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: float


def get_weather(city: str, days: int) -> str:
    """The weather of a city for some days."""
    return f"{city}: sunny for {days} days"


TOOL: Any = tool(get_weather)
TEXT, ASKED = "How are you?", "Use get_weather for Lisbon."


def main() -> None:
    http = Counted(httpx)
    llm = ChatOpenAI(
        base_url=sys.argv[1],
        model=sys.argv[2],
        api_key="a client's own",
        max_retries=0,
        http_client=http.client,
        stream_usage=True,
    )
    with_schema = llm.with_structured_output(Weather, method="json_schema")
    with_tool = llm.bind_tools([TOOL], parallel_tool_calls=False)
    forced = llm.bind_tools([TOOL], tool_choice="get_weather", parallel_tool_calls=False)

    def called(message: Any) -> str:
        return TOOL.invoke(message.tool_calls[0]["args"])

    def streamed(model: Any, text: str) -> Any:
        whole = None
        for chunk in model.stream(text):
            whole = chunk if whole is None else whole + chunk
        return whole

    def after_the_tool(model: Any) -> str:
        call = with_tool.invoke(ASKED).tool_calls[0]
        said = AIMessage("I will look.", tool_calls=[call])
        return model.invoke([HumanMessage(ASKED), said, ToolMessage("", tool_call_id=call["id"])]).content

    make(
        {
            "invoke": lambda: llm.invoke(TEXT).content,
            "stream": lambda: streamed(llm, TEXT).usage_metadata,
            "tools": lambda: called(with_tool.invoke(ASKED)),
            "tools, forced": lambda: called(forced.invoke(TEXT)),
            "tools, streamed": lambda: called(streamed(with_tool, ASKED)),
            "after the tool": lambda: after_the_tool(with_tool),
            "after the tool, without tools": lambda: after_the_tool(llm),
            "structured, JSON schema": lambda: with_schema.invoke(TEXT),
            "structured, strict": lambda: llm.with_structured_output(
                Weather, method="function_calling", strict=True
            ).invoke(TEXT),
            "structured, tools": lambda: llm.with_structured_output(Weather, method="function_calling").invoke(TEXT),
            "structured, JSON mode": lambda: (
                llm.with_structured_output(None, method="json_mode").invoke(TEXT) is not None
            ),
            "structured, streamed": lambda: list(with_schema.stream(TEXT)),
        },
        http,
    )


if __name__ == "__main__":
    main()
