"""A chat completion, asked in Converse.

Policy.  `maxTokens` is always said: Bedrock reserves quota for the prompt and for all tokens that the answer might
have, and without it that is the model's own limit.  It is the request's limit, else the model's as the plan knows it,
else DEFAULT_LIMIT.  `temperature` goes up to 1 there, not 2; more is refused rather than cut.
"""

from __future__ import annotations

from typing import Any, Final

from components.adapter.asked import Asked
from components.adapter.converse.messages import system, turns
from components.adapter.converse.tools import tool_config
from components.adapter.errors import refused

DEFAULT_LIMIT: Final = 2_048
"""Tokens of an answer that every Llama on Bedrock gives: the most that `max_gen_len` of its native API takes.
docs.aws.amazon.com/bedrock, Meta Llama models."""

_TAKEN: Final = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
        *("temperature", "top_p", "stop", "tools", "tool_choice"),
    }
)


def converse(asked: Asked, output: int | None) -> dict[str, Any]:
    """The parameters of boto3's `converse` and `converse_stream`.  Raises ChatError.

    `output` is the most tokens the model's answers have; None: unknown.
    """
    refusal = asked.beyond(_TAKEN, "Converse")
    if refusal is not None:
        raise refusal
    if asked.temperature is not None and asked.temperature > 1:
        raise refused("temperature", "is above 1, the most that this host takes")
    said: dict[str, Any] = {
        "system": system(asked.messages),
        "messages": turns(asked.messages),
        "inferenceConfig": {
            "maxTokens": asked.limit or output or DEFAULT_LIMIT,
            **({"temperature": asked.temperature} if asked.temperature is not None else {}),
            **({"topP": asked.top_p} if asked.top_p is not None else {}),
            **({"stopSequences": asked.stops} if asked.stops else {}),
        },
        "toolConfig": tool_config(asked),
    }
    return {"modelId": asked.model} | {key: value for key, value in said.items() if value}
