"""`POST /completions`."""

from __future__ import annotations

from typing import Any

from components.simulated.asked import (
    DONE,
    Asked,
    Choices,
    Limit,
    Reply,
    Streamed,
    StreamOptions,
    Text,
    Whole,
    event,
    head,
    interleaved,
    to_json,
    usage,
    usage_event,
)
from components.simulated.tokens import Prompts, each, prompts_tokens


class CompletionRequest(Asked):
    """A completion: one choice, or `n`, for each prompt."""

    prompt: Prompts
    max_tokens: Limit | None = None
    n: Choices | None = None
    stream_options: StreamOptions | None = None

    def reply(self, host: str) -> Reply:
        texts = [
            self.text(host, prompt if isinstance(prompt, str) else "", self.max_tokens)
            for prompt in each(self.prompt)
            for _ in range(self.n or 1)
        ]
        return self._streamed(texts) if self.stream else self._whole(texts)

    def _whole(self, texts: list[Text]) -> Whole:
        prompt, made = prompts_tokens(self.prompt), sum(len(text.tokens) for text in texts)
        choices = [_choice(index, str(text), text.finish) for index, text in enumerate(texts)]
        answer = head("text_completion", "cmpl-", self.model)
        return Whole(to_json(answer | {"choices": choices, "usage": usage(prompt, made)}), prompt, made)

    def _streamed(self, texts: list[Text]) -> Streamed:
        prompt = prompts_tokens(self.prompt)
        wants_usage = bool(self.stream_options and self.stream_options.include_usage)
        common = head("text_completion", "cmpl-", self.model) | ({"usage": None} if wants_usage else {})
        made = interleaved(
            [event(common | {"choices": [_choice(index, said, None)]}) for said in text.tokens]
            for index, text in enumerate(texts)
        )
        closing = b"".join(
            event(common | {"choices": [_choice(index, "", text.finish)]}) for index, text in enumerate(texts)
        )
        if wants_usage:
            closing += usage_event(common, prompt, len(made))
        return Streamed(b"", made, closing + DONE, prompt)


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
