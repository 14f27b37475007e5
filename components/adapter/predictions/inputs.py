"""Which inputs a model takes at Replicate: each model has its own, and no list of messages is among them.

As the models' pages and public predictions of them show, 2026-11-21: replicate.com/meta/meta-llama-3.1-405b-instruct,
replicate.com/meta/llama-4-maverick-instruct, replicate.com/meta/meta-llama-3-8b-instruct.
"""

from __future__ import annotations

from typing import Final

_ALL: Final = frozenset({"prompt", "max_tokens", "temperature", "top_p", "presence_penalty"})
"""What every Llama there is known to take."""

_MORE: Final = {
    "meta/llama-4-maverick-instruct": frozenset({"frequency_penalty"}),
    "meta/meta-llama-3.1-405b-instruct": frozenset({"frequency_penalty", "prompt_template", "stop_sequences"}),
}


def inputs(model: str) -> frozenset[str]:
    """The inputs of a model, by its id."""
    return _ALL | _MORE.get(model, frozenset())
