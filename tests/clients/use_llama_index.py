"""LlamaIndex' `OpenAILike`."""

# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from typing import Any

import httpx
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from tests.clients.kinds import Counted, make


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: float


def get_weather(city: str, days: int) -> str:
    """The weather of a city for some days."""
    return f"{city}: sunny for {days} days"


TEXT, ASKED = "How are you?", "Use get_weather for Lisbon."
TOOL = FunctionTool.from_defaults(get_weather)


def main() -> None:
    http = Counted(httpx)
    common: dict[str, Any] = {
        "api_base": sys.argv[1],
        "model": sys.argv[2],
        "api_key": "a client's own",
        "is_chat_model": True,
        "is_function_calling_model": True,
        "max_retries": 0,
        "http_client": http.client,
    }
    llm = OpenAILike(**common)
    with_schemas = OpenAILike(**common, should_use_structured_outputs=True)

    def called(answer: Any) -> str:
        return get_weather(**llm.get_tool_calls_from_response(answer)[0].tool_kwargs)

    make(
        {
            "complete": lambda: llm.complete(TEXT).text,
            "stream": lambda: [*llm.stream_complete(TEXT)][-1].text,
            "tools": lambda: called(llm.chat_with_tools([TOOL], ASKED)),
            "tools, forced": lambda: called(llm.chat_with_tools([TOOL], TEXT, tool_required=True)),
            "tools, streamed": lambda: called([*llm.stream_chat_with_tools([TOOL], ASKED)][-1]),
            "structured, tools": lambda: llm.structured_predict(Weather, PromptTemplate(TEXT)),
            "structured, JSON schema": lambda: with_schemas.structured_predict(Weather, PromptTemplate(TEXT)),
        },
        http,
    )


if __name__ == "__main__":
    main()
