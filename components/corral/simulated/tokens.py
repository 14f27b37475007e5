"""How a simulated host counts tokens, so that whoever sends a request can tell its usage to the token.

The rule.  A token is a word: a run of characters that are not white space.  An image counts IMAGE_TOKENS.  A
prompt's tokens are those of all its texts, whoever speaks, and of its images; the definitions of tools count
nothing.  A token id (where a prompt is given as ids) counts one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, Field

IMAGE_TOKENS = 256
"""A round figure of the simulation; no host's."""

_WORD = re.compile(r"\s*\S+")


class Part(BaseModel):
    """A part of a message's content: `{"type": "text", "text": ...}`, `{"type": "image_url", ...}`."""

    type: str
    text: str | None = None

    @property
    def is_image(self) -> bool:
        """In the words of chat completions, or of responses."""
        return self.type in ("image_url", "input_image")


Content = str | list[Part] | None
"""What a message says."""


def split(text: str) -> list[str]:
    """Its tokens, each with the white space before it: joined they are the text without white space at its end."""
    return _WORD.findall(text)


def count(text: str) -> int:
    """The number of tokens in a text."""
    return len(text.split())


def content_tokens(content: Content) -> int:
    """The number of tokens in a message's content."""
    if content is None or isinstance(content, str):
        return count(content or "")
    return sum(IMAGE_TOKENS if part.is_image else count(part.text or "") for part in content)


def has_images(contents: Iterable[Content]) -> bool:
    """Whether any of the contents holds an image."""
    return any(part.is_image for content in contents if isinstance(content, list) for part in content)


def said_text(content: Content) -> str:
    """A message's text, its parts joined by a space."""
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(part.text for part in content if part.text)


Prompt = str | list[int]
"""A text, or token ids."""

Prompts = str | Annotated[list[int], Field(min_length=1)] | Annotated[list[Prompt], Field(min_length=1)]
"""One prompt or more, as completions and embeddings take them."""


def each(prompts: Prompts) -> list[Prompt]:
    """The prompts, one by one."""
    if isinstance(prompts, str):
        return [prompts]
    several = [part for part in prompts if not isinstance(part, int)]
    return several or [[part for part in prompts if isinstance(part, int)]]


def prompts_tokens(prompts: Prompts) -> int:
    """The number of tokens in all of them."""
    return sum(count(prompt) if isinstance(prompt, str) else len(prompt) for prompt in each(prompts))
