"""Why an answer ended: Converse's `stopReason` as OpenAI's `finish_reason`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from components.adapter.chunks import Finish
from components.adapter.errors import bad_answer

_FINISH: Final[Mapping[str, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""All that botocore names, but `malformed_model_output` and `malformed_tool_use`: these are no answers."""


def finish_reason(reason: str) -> Finish:
    """Raises ChatError for an end that is no answer's."""
    finish = _FINISH.get(reason)
    if finish is None:
        raise bad_answer(f"the answer ended for a reason that is none of an answer's: {reason}")
    return finish
