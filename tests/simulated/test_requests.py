from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.simulated.requests import IMAGE_TOKENS, Content, Part, content_tokens, count, split


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
