from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

from corral.simulated.requests import ECHO
from corral.simulated.tokens import IMAGE_TOKENS

MODEL = "llama-3.3-70b-versatile"
ANSWER = f"groq (simulated) answers as {MODEL}: hello to you"
SAID: Any = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": None},
    {"role": "user", "content": "hello to you"},
]
USAGE = {"prompt_tokens": 6, "completion_tokens": 8, "total_tokens": 14}
TOOLS: Any = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("look", "count")]


def what(answer: Any) -> dict[str, Any]:
    """An answer or a chunk as it came, less what differs each time."""
    said = answer.model_dump(exclude_unset=True)
    assert isinstance(said.pop("created"), int)
    assert said.pop("id").startswith("chatcmpl-")
    return said


def test_the_answer_says_which_host_and_id_answered_and_what_was_said_last(groq: OpenAI):
    assert what(groq.chat.completions.create(model=MODEL, messages=SAID)) == {
        "object": "chat.completion",
        "model": MODEL,
        "system_fingerprint": "simulated",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }


def test_a_streamed_answer_comes_token_by_token_and_ends_with_its_usage(groq: OpenAI):
    stream = groq.chat.completions.create(
        model=MODEL, messages=SAID, stream=True, stream_options={"include_usage": True}
    )
    common = {
        "object": "chat.completion.chunk",
        "model": MODEL,
        "system_fingerprint": "simulated",
        "usage": None,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return common | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    tokens = ["groq", " (simulated)", " answers", " as", f" {MODEL}:", " hello", " to", " you"]
    assert [what(one) for one in stream] == [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": token}) for token in tokens),
        chunk({}, "stop"),
        common | {"choices": [], "usage": USAGE},
    ]


def test_a_stream_that_was_not_asked_for_usage_has_none(groq: OpenAI):
    chunks = list(groq.chat.completions.create(model=MODEL, messages=SAID, stream=True))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == ANSWER
    assert {key for chunk in chunks for key in what(chunk)} == {"object", "model", "system_fingerprint", "choices"}


@pytest.mark.parametrize("limit", [{"max_tokens": 3}, {"max_completion_tokens": 3}])
@pytest.mark.parametrize("stream", [False, True])
def test_the_limit_of_tokens_cuts_the_answer(groq: OpenAI, limit: dict[str, Any], *, stream: bool):
    asked: dict[str, Any] = {"model": MODEL, "messages": SAID} | limit
    if stream:
        with groq.chat.completions.stream(**asked, stream_options={"include_usage": True}) as chunks:
            chunks.until_done()
            answer: Any = chunks.current_completion_snapshot
    else:
        answer = groq.chat.completions.create(**asked)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("groq (simulated) answers", "length")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (6, 3)


def test_a_limit_that_is_just_enough_cuts_nothing(groq: OpenAI):
    (choice,) = groq.chat.completions.create(model=MODEL, messages=SAID, max_tokens=8).choices
    assert (choice.message.content, choice.finish_reason) == (ANSWER, "stop")


def test_a_long_message_is_repeated_only_in_part(groq: OpenAI):
    answer = groq.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x" * 2**20}])
    assert answer.choices[0].message.content == f"groq (simulated) answers as {MODEL}: {'x' * ECHO}"


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_are_the_same_answer_and_count_each(groq: OpenAI, *, stream: bool):
    asked: dict[str, Any] = {"model": MODEL, "messages": SAID, "n": 2}
    if stream:
        with groq.chat.completions.stream(**asked, stream_options={"include_usage": True}) as chunks:
            answer: Any = chunks.get_final_completion()
    else:
        answer = groq.chat.completions.create(**asked)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(0, ANSWER), (1, ANSWER)]
    assert answer.usage.completion_tokens == 16


def test_texts_and_images_may_come_in_parts(groq: OpenAI):
    parts: Any = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "text", "text": "please"},
    ]
    answer = groq.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == f"groq (simulated) answers as {MODEL}: what is this please"
    assert answer.usage
    assert answer.usage.prompt_tokens == 4 + IMAGE_TOKENS


@pytest.mark.parametrize(
    ("choice", "name"),
    [("required", "look"), ({"type": "function", "function": {"name": "count"}}, "count")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_tool_is_called(groq: OpenAI, choice: Any, name: str, *, stream: bool):
    asked: dict[str, Any] = {"model": MODEL, "messages": SAID, "tools": TOOLS, "tool_choice": choice}
    if stream:
        with groq.chat.completions.stream(**asked) as chunks:
            (made,) = chunks.get_final_completion().choices
    else:
        (made,) = groq.chat.completions.create(**asked).choices
    assert (made.finish_reason, made.message.content) == ("tool_calls", None)
    (call,) = made.message.tool_calls or []
    assert call.type == "function"
    assert (call.id, call.function.name, call.function.arguments) == ("call_simulated_0", name, "{}")


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_tool_that_is_only_on_offer_is_not_called(groq: OpenAI, choice: Any):
    (made,) = groq.chat.completions.create(model=MODEL, messages=SAID, tools=TOOLS, tool_choice=choice).choices
    assert (made.message.content, made.message.tool_calls) == (ANSWER, None)
