from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.simulated.tokens import IMAGE_TOKENS, Content, Part, Prompts, content_tokens, count, prompts_tokens, split


@given(st.text())
def test_the_tokens_of_a_text_are_counted_as_they_are_split_and_joined_they_are_the_text(text: str):
    assert len(split(text)) == count(text)
    assert "".join(split(text)).strip() == text.strip()


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (None, 0),
        ("", 0),
        (" two\n words ", 2),
        ([Part(type="text", text="two words"), Part(type="input_text", text="one")], 3),
        ([Part(type="text", text="one"), Part(type="image_url"), Part(type="input_image")], 1 + 2 * IMAGE_TOKENS),
    ],
)
def test_words_count_one_and_images_a_round_figure(content: Content, want: int):
    assert content_tokens(content) == want


@pytest.mark.parametrize(
    ("prompts", "want"), [("a b", 2), (["a b", "c"], 3), ([5, 6, 7], 3), ([[5, 6], "a b c"], 5), ([""], 0)]
)
def test_a_prompt_may_be_texts_or_token_ids(prompts: Prompts, want: int):
    assert prompts_tokens(prompts) == want
