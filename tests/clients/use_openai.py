"""OpenAI's own client for Python."""

from __future__ import annotations

import sys
from typing import Any

import httpx2
import openai
from pydantic import BaseModel

from tests.clients.kinds import Counted, make


class Weather(BaseModel):
    city: str
    celsius: float
    warnings: list[str]


TEXT, ASKED = "How are you?", "Use get_weather for Lisbon."
TOOL: Any = openai.pydantic_function_tool(Weather, name="get_weather")


def main() -> None:
    http = Counted(httpx2)
    client: Any = openai.OpenAI(base_url=sys.argv[1], api_key="a client's own", max_retries=0, http_client=http.client)
    chat = client.chat.completions
    common = {"model": sys.argv[2], "messages": [{"role": "user", "content": TEXT}]}
    with_tool = {**common, "messages": [{"role": "user", "content": ASKED}], "tools": [TOOL]}

    def streamed(**more: Any) -> Any:
        with chat.stream(**more) as events:
            for _ in events:
                pass
            return events.get_final_completion().choices[0].message

    def called(message: Any) -> Any:
        return Weather.model_validate_json(message.tool_calls[0].function.arguments)

    make(
        {
            "chat": lambda: chat.create(**common).choices[0].message.content,
            "stream": lambda: streamed(**common).content,
            "several choices": lambda: len(chat.create(n=2, **common).choices) == 2,
            "seed, penalties, logprobs": lambda: (
                chat.create(seed=7, presence_penalty=0.5, logprobs=True, **common).choices[0].logprobs.content
            ),
            "JSON mode": lambda: chat.create(response_format={"type": "json_object"}, **common).choices,
            "parse": lambda: chat.parse(response_format=Weather, **common).choices[0].message.parsed,
            "parse, streamed": lambda: streamed(response_format=Weather, **common).parsed,
            "tools": lambda: called(chat.create(parallel_tool_calls=False, **with_tool).choices[0].message),
            "tools, forced": lambda: called(chat.create(tool_choice="required", **with_tool).choices[0].message),
            "tools, streamed": lambda: streamed(**with_tool).tool_calls[0].function.parsed_arguments,
            "responses": lambda: client.responses.create(model=sys.argv[2], input=TEXT).output_text,
            "responses, parsed": lambda: (
                client.responses.parse(model=sys.argv[2], input=TEXT, text_format=Weather).output_parsed
            ),
            "completions": lambda: client.completions.create(model=sys.argv[2], prompt=TEXT).choices[0].text,
        },
        http,
    )


if __name__ == "__main__":
    main()
