from __future__ import annotations

import json
import math
from typing import Annotated, Any

import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

from corral.simulated.openai import DIMENSIONS, Prompts, prompts_tokens
from corral.simulated.requests import ECHO_CHARACTERS, IMAGE_TOKENS

MODEL = "llama-3.3-70b-versatile"
ANSWER = f"groq (simulated) answers as {MODEL}: hello to you"
MESSAGES: Any = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": None},
    {"role": "user", "content": "hello to you"},
]
USAGE = {"prompt_tokens": 6, "completion_tokens": 8, "total_tokens": 14}
PARAMETERS: Any = {"type": "object", "properties": {"at": {"type": "integer", "minimum": 2}}, "required": ["at"]}
TOOLS: Any = [{"type": "function", "function": {"name": name, "parameters": PARAMETERS}} for name in ("look", "count")]


def what(answer: Any) -> dict[str, Any]:
    """An answer or a chunk as it came, less what differs each time."""
    fields = answer.model_dump(exclude_unset=True)
    assert isinstance(fields.pop("created"), int)
    assert fields.pop("id").startswith("chatcmpl-")
    return fields


def test_the_answer_says_which_host_and_id_answered_and_what_was_said_last(groq: OpenAI):
    assert what(groq.chat.completions.create(model=MODEL, messages=MESSAGES)) == {
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
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
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
    chunks = list(groq.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == ANSWER
    assert {key for chunk in chunks for key in what(chunk)} == {"object", "model", "system_fingerprint", "choices"}


@pytest.mark.parametrize("limit", [{"max_tokens": 3}, {"max_completion_tokens": 3}])
@pytest.mark.parametrize("stream", [False, True])
def test_the_limit_of_tokens_cuts_the_answer(groq: OpenAI, limit: dict[str, Any], *, stream: bool):
    request: dict[str, Any] = {"model": MODEL, "messages": MESSAGES} | limit
    if stream:
        with groq.chat.completions.stream(**request, stream_options={"include_usage": True}) as chunks:
            chunks.until_done()
            answer: Any = chunks.current_completion_snapshot
    else:
        answer = groq.chat.completions.create(**request)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("groq (simulated) answers", "length")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (6, 3)


def test_a_limit_that_is_just_enough_cuts_nothing(groq: OpenAI):
    (choice,) = groq.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=8).choices
    assert (choice.message.content, choice.finish_reason) == (ANSWER, "stop")


def test_a_long_message_is_repeated_only_in_part(groq: OpenAI):
    answer = groq.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x" * 2**20}])
    assert answer.choices[0].message.content == f"groq (simulated) answers as {MODEL}: {'x' * ECHO_CHARACTERS}"


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_are_the_same_answer_and_count_each(groq: OpenAI, *, stream: bool):
    request: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "n": 2}
    if stream:
        with groq.chat.completions.stream(**request, stream_options={"include_usage": True}) as chunks:
            answer: Any = chunks.get_final_completion()
    else:
        answer = groq.chat.completions.create(**request)
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
    request: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "tools": TOOLS, "tool_choice": choice}
    if stream:
        with groq.chat.completions.stream(**request) as chunks:
            (made,) = chunks.get_final_completion().choices
    else:
        (made,) = groq.chat.completions.create(**request).choices
    assert (made.finish_reason, made.message.content) == ("tool_calls", None)
    (call,) = made.message.tool_calls or []
    assert call.type == "function"
    assert (call.id, call.function.name, call.function.arguments) == ("call_simulated_0", name, '{"at": 2}')


def test_a_tool_that_is_not_to_be_called_is_not(groq: OpenAI):
    (made,) = groq.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="none").choices
    assert (made.message.content, made.message.tool_calls) == (ANSWER, None)


def test_a_tool_that_may_be_called_is_at_times_and_for_the_same_texts_again(groq: OpenAI):
    def called(text: str) -> list[str]:
        messages: Any = [{"role": "user", "content": text}]
        (made,) = groq.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices
        return [call.function.name for call in made.message.tool_calls or () if call.type == "function"]

    assert called("count them") == ["count"]
    texts = [f"question {n}" for n in range(20)]
    first = [called(text) for text in texts]
    assert {name for names in first for name in names} == {"look"}
    assert 2 < first.count([]) < 18
    assert [called(text) for text in texts] == first


class Weather(BaseModel):
    city: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    degrees: float | None


def test_json_is_answered_where_it_is_asked_for(groq: OpenAI):
    parsed = groq.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Weather)
    assert parsed.choices[0].message.parsed
    assert parsed.choices[0].message.parsed.degrees is None
    response = groq.responses.parse(model=MODEL, input="hello to you", text_format=Weather)
    assert response.output_parsed == parsed.choices[0].message.parsed
    mode: Any = {"type": "json_object"}
    free = groq.chat.completions.create(model=MODEL, messages=MESSAGES, response_format=mode)
    assert json.loads(free.choices[0].message.content or "") == {"answer": ANSWER}


@pytest.mark.parametrize("stop", ["hello", ["never", "to", "hello"]])
def test_a_stop_sequence_ends_the_answer_and_is_not_in_it(groq: OpenAI, stop: Any):
    (choice,) = groq.chat.completions.create(model=MODEL, messages=MESSAGES, stop=stop).choices
    assert (choice.message.content, choice.finish_reason) == (ANSWER.removesuffix(" hello to you"), "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_every_token_has_its_probability_where_that_is_asked_for(groq: OpenAI, *, stream: bool):
    request: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "logprobs": True, "top_logprobs": 2, "seed": 7}
    if stream:
        with groq.chat.completions.stream(**request) as chunks:
            (choice,) = chunks.get_final_completion().choices
    else:
        (choice,) = groq.chat.completions.create(**request).choices
    assert choice.logprobs
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == ANSWER
    assert {token.logprob for token in tokens} == {0}
    assert [[top.token for top in token.top_logprobs] for token in tokens] == [[token.token] for token in tokens]


@pytest.mark.parametrize("stream", [False, True])
def test_a_completion_s_tokens_have_their_places(lenient_groq: OpenAI, *, stream: bool):
    request: dict[str, Any] = {"model": MODEL, "prompt": "one", "max_tokens": 2, "logprobs": 1, "stream": stream}
    answer: Any = lenient_groq.completions.create(**request)
    chunks = [*answer] if stream else [answer]
    having = [choice.logprobs for chunk in chunks for choice in chunk.choices if choice.logprobs]
    places = [
        place for each in having for place in zip(each.tokens, each.text_offset, each.token_logprobs, strict=True)
    ]
    assert places == [("groq", 0, 0), (" (simulated)", 4, 0)]


PREFIX = f"groq (simulated) answers as {MODEL}:"


def test_each_prompt_gets_its_own_completions(groq: OpenAI):
    answer = groq.completions.create(model=MODEL, prompt=["one two", "three"], n=2)
    assert [(choice.index, choice.text, choice.finish_reason) for choice in answer.choices] == [
        (0, f"{PREFIX} one two", "stop"),
        (1, f"{PREFIX} one two", "stop"),
        (2, f"{PREFIX} three", "stop"),
        (3, f"{PREFIX} three", "stop"),
    ]
    assert answer.usage
    assert answer.usage.to_dict() == {"prompt_tokens": 3, "completion_tokens": 26, "total_tokens": 29}


@pytest.mark.parametrize(
    ("prompt", "tokens", "text"),
    [("one two", 2, f"{PREFIX} one two"), ([7, 8, 9], 3, PREFIX), ([[7, 8], [9]], 3, PREFIX), ("", 0, PREFIX)],
)
def test_a_prompt_may_be_text_or_token_ids(groq: OpenAI, prompt: Any, tokens: int, text: str):
    answer = groq.completions.create(model=MODEL, prompt=prompt)
    assert {choice.text for choice in answer.choices} == {text}
    assert answer.usage
    assert answer.usage.prompt_tokens == tokens


def test_streamed_completions_come_side_by_side_and_end_with_their_usage(lenient_groq: OpenAI):
    chunks = list(
        lenient_groq.completions.create(
            model=MODEL, prompt=["one", "two"], max_tokens=2, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = [(choice.index, choice.text, choice.finish_reason) for chunk in chunks for choice in chunk.choices]
    assert texts == [
        (0, "groq", None),
        (1, "groq", None),
        (0, " (simulated)", None),
        (1, " (simulated)", None),
        (0, "", "length"),
        (1, "", "length"),
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.to_dict() == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


def test_each_input_gets_its_own_vector_of_length_one(lenient_groq: OpenAI):
    answer = lenient_groq.embeddings.create(model=MODEL, input=["one two", "three", "one two"])
    first, second, again = (one.embedding for one in answer.data)
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert first == again != second
    assert [len(first), len(second)] == [DIMENSIONS, DIMENSIONS]
    assert math.hypot(*first) == pytest.approx(1)
    assert answer.usage.to_dict() == {"prompt_tokens": 5, "total_tokens": 5}


def test_base64_holds_the_same_numbers_as_floats(lenient_groq: OpenAI):
    floats = (
        lenient_groq.embeddings.create(model=MODEL, input="one", dimensions=3, encoding_format="float")
        .data[0]
        .embedding
    )
    packed = lenient_groq.embeddings.create(model=MODEL, input="one", dimensions=3).data[0].embedding
    assert len(floats) == 3
    assert packed == pytest.approx(floats)


def test_an_input_may_be_token_ids(lenient_groq: OpenAI):
    answer = lenient_groq.embeddings.create(model=MODEL, input=[[7, 8], [9]])
    assert (len(answer.data), answer.usage.prompt_tokens) == (2, 3)


@pytest.mark.parametrize(
    ("prompts", "want"), [("a b", 2), (["a b", "c"], 3), ([5, 6, 7], 3), ([[5, 6], "a b c"], 5), ([""], 0)]
)
def test_a_prompt_may_be_texts_or_token_ids(prompts: Prompts, want: int):
    assert prompts_tokens(prompts) == want
