from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

from corral.simulated.requests import IMAGE_TOKENS

MODEL = "llama-3.3-70b-versatile"
ANSWER = f"groq (simulated) answers as {MODEL}: hello to you"
TOOLS: Any = [{"type": "function", "name": name, "parameters": {}, "strict": False} for name in ("look", "count")]


def test_the_answer_says_which_host_and_id_answered_and_what_was_said_last(groq: OpenAI):
    response = groq.responses.create(model=MODEL, input="hello to you", instructions="be brief")
    assert (response.status, response.output_text, response.model) == ("completed", ANSWER, MODEL)
    assert response.usage
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (5, 8, 13)


def test_the_input_may_be_items_with_parts(groq: OpenAI):
    items: Any = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "second"}]},
        {"type": "function_call_output", "call_id": "call_1", "output": "third fourth"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "hello to you"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
            ],
        },
    ]
    response = groq.responses.create(model=MODEL, input=items)
    assert response.output_text == ANSWER
    assert response.usage
    assert response.usage.input_tokens == 7 + IMAGE_TOKENS


@pytest.mark.parametrize(
    ("limit", "text", "last"),
    [(None, ANSWER, "response.completed"), (3, "groq (simulated) answers", "response.incomplete")],
)
def test_a_streamed_response_tells_its_whole_story_in_numbered_events(
    groq: OpenAI, limit: int | None, text: str, last: str
):
    events: list[Any] = list(
        groq.responses.create(model=MODEL, input="hello to you", max_output_tokens=limit, stream=True)
    )
    tokens = len(text.split())
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * tokens,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        last,
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    end = events[-1].response
    assert ("".join(deltas), end.output_text, end.usage.output_tokens) == (text, text, tokens)
    assert end.status == last.removeprefix("response.")
    assert {event.response.id for event in events if hasattr(event, "response")} == {end.id}
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {end.output[0].id}


def test_a_response_that_its_limit_ends_is_incomplete(groq: OpenAI):
    response = groq.responses.create(model=MODEL, input="hello to you", max_output_tokens=3)
    assert (response.status, response.output_text) == ("incomplete", "groq (simulated) answers")
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(("choice", "name"), [("required", "look"), ({"type": "function", "name": "count"}, "count")])
@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_tool_is_called(groq: OpenAI, choice: Any, name: str, *, stream: bool):
    request: dict[str, Any] = {"model": MODEL, "input": "hello", "tools": TOOLS, "tool_choice": choice}
    if stream:
        with groq.responses.stream(**request) as events:
            response: Any = events.get_final_response()
    else:
        response = groq.responses.create(**request)
    (call,) = response.output
    assert (call.type, call.name, call.arguments, call.status) == ("function_call", name, "{}", "completed")
