from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

MODEL = "llama-3.3-70b-versatile"
ANSWER = f"groq (simulated) answers as {MODEL}:"


def test_each_prompt_gets_its_own_completions(groq: OpenAI):
    answer = groq.completions.create(model=MODEL, prompt=["one two", "three"], n=2)
    assert [(choice.index, choice.text, choice.finish_reason) for choice in answer.choices] == [
        (0, f"{ANSWER} one two", "stop"),
        (1, f"{ANSWER} one two", "stop"),
        (2, f"{ANSWER} three", "stop"),
        (3, f"{ANSWER} three", "stop"),
    ]
    assert answer.usage
    assert answer.usage.to_dict() == {"prompt_tokens": 3, "completion_tokens": 26, "total_tokens": 29}


@pytest.mark.parametrize(
    ("prompt", "tokens", "text"),
    [("one two", 2, f"{ANSWER} one two"), ([7, 8, 9], 3, ANSWER), ([[7, 8], [9]], 3, ANSWER), ("", 0, ANSWER)],
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
    said = [(choice.index, choice.text, choice.finish_reason) for chunk in chunks for choice in chunk.choices]
    assert said == [
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
