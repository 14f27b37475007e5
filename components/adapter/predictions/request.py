"""A chat completion, asked as a prediction.

Policy.  A parameter that the model does not take there is refused.  `max_tokens` is always said, since the models' own
default cuts an answer short: the request's limit, else the model's as the plan knows it, else DEFAULT_LIMIT.
"""

from __future__ import annotations

from typing import Any, Final

from components.adapter.asked import Asked
from components.adapter.errors import refused
from components.adapter.predictions.inputs import inputs
from components.adapter.predictions.prompt import TEMPLATE, llama_3, said, transcript

DEFAULT_LIMIT: Final = 2_048
"""Tokens; the models' own default is 512 (Llama 3) or 1,024 (Llama 4)."""

_TAKEN: Final = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"})
_BY_NAME: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
"""Parameters that are inputs of the same name and meaning."""


def limit(asked: Asked, output: int | None) -> int:
    """The most tokens of the answer; `output` is the model's, as far as it is known."""
    return asked.limit or output or DEFAULT_LIMIT


def prediction_input(asked: Asked, output: int | None) -> dict[str, Any]:
    """The prediction's `input`.  Raises ChatError."""
    taken = inputs(asked.model)
    stop = {"stop"} if "stop_sequences" in taken else set[str]()
    refusal = asked.beyond(_TAKEN | (taken & set(_BY_NAME)) | stop, "this model's prediction")
    if refusal is not None:
        raise refusal
    if any("," in text for text in asked.stops):
        raise refused("stop", "holds a comma, by which this host tells one text from the next")
    turns = said(asked.messages)
    templated = "prompt_template" in taken
    return {
        "prompt": llama_3(turns) if templated else transcript(turns),
        **({"prompt_template": TEMPLATE} if templated else {}),
        "max_tokens": limit(asked, output),
        **{name: value for name in _BY_NAME if name in taken and (value := getattr(asked, name)) is not None},
        **({"stop_sequences": ",".join(asked.stops)} if asked.stops else {}),
    }
