"""Anthropic's own client, at hosts that take its messages."""

# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from typing import Any

import anthropic
import httpx2
from pydantic import BaseModel

from tests.clients.kinds import Counted, make


class Weather(BaseModel):
    city: str
    celsius: float


TOOL = {"name": "get_weather", "description": "The weather.", "input_schema": Weather.model_json_schema()}
TEXT, ASKED = "How are you?", "Use get_weather for Lisbon."


def main() -> None:
    http = Counted(httpx2)
    base_url = sys.argv[1].removesuffix("/v1")
    client: Any = anthropic.Anthropic(
        base_url=base_url, api_key="a client's own", max_retries=0, http_client=http.client
    )
    common = {"model": sys.argv[2], "max_tokens": 200}

    def says(text: str, **more: Any) -> dict[str, Any]:
        return {**common, "messages": [{"role": "user", "content": text}], **more}

    def created(text: str, **more: Any) -> Any:
        message = client.messages.create(**says(text, **more))
        return message.content[0] if message.model == sys.argv[2] and message.usage.output_tokens else None

    def streamed(text: str, **more: Any) -> Any:
        with client.messages.stream(**says(text, **more)) as stream:
            message = stream.get_final_message()
        return message.content[0] if message.model == sys.argv[2] and message.usage.output_tokens else None

    def after_the_tool() -> Any:
        call = created(ASKED, tools=[TOOL])
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        turns = [
            {"role": "user", "content": ASKED},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
        return client.messages.create(**common, messages=turns, tools=[TOOL]).content[0].text

    make(
        {
            "messages": lambda: created(TEXT, system="You are brief.").text,
            "stream": lambda: streamed(TEXT).text,
            "tools": lambda: Weather.model_validate(created(ASKED, tools=[TOOL]).input),
            "tools, forced": lambda: Weather.model_validate(
                created(TEXT, tools=[TOOL], tool_choice={"type": "any"}).input
            ),
            "tools, streamed": lambda: Weather.model_validate(streamed(ASKED, tools=[TOOL]).input),
            "after the tool": after_the_tool,
        },
        http,
    )


if __name__ == "__main__":
    main()
