from __future__ import annotations

import math

import pytest
from openai import OpenAI

from corral.simulated.openai import DIMENSIONS

MODEL = "llama-3.3-70b-versatile"


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
