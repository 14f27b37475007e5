"""One answer by the official client, streamed or whole: who gave it, when it began, and whether all of it came."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import openai

from components.render.envoy.names import ATTEMPTS_HEADER, HOST_HEADER


class Answer:
    """An answer, filled in while it comes.  `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.first: float | None = None
        """When the first piece of a streamed answer came."""
        self.status: int | None = None
        """None: there was no answer."""
        self.host: str | None = None
        self.attempts: int | None = None
        self.retry_after: str | None = None

    async def take(self, client: openai.AsyncOpenAI, model: str, prompt: str, *, streamed: bool) -> str:
        """Asks and takes the whole answer; why it is not one, or nothing."""
        try:
            return await (self._stream if streamed else self._whole)(client, model, prompt)
        except openai.APIStatusError as error:
            self._head(error.status_code, error.response.headers)
            return f"HTTP {error.status_code} {error.code or ''}".rstrip()
        except openai.APITimeoutError:
            return "no answer in time"
        except Exception as error:
            return type(error.__cause__ or error).__name__

    async def _whole(self, client: openai.AsyncOpenAI, model: str, prompt: str) -> str:
        raw = await client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": prompt}]
        )
        self._head(raw.status_code, raw.headers)
        complete = [choice.message.content for choice in raw.parse().choices if choice.finish_reason]
        return "" if any(complete) else "an answer without content"

    async def _stream(self, client: openai.AsyncOpenAI, model: str, prompt: str) -> str:
        raw = await client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": prompt}], stream=True
        )
        self._head(raw.status_code, raw.headers)
        finished = False
        async for chunk in raw.parse():
            if self.first is None:
                self.first = self._clock()
            finished = finished or any(choice.finish_reason for choice in chunk.choices)
        return "" if finished else "a stream that ended in the middle"

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        attempts = headers.get(ATTEMPTS_HEADER, "")
        self.status, self.host, self.retry_after = status, headers.get(HOST_HEADER), headers.get("retry-after")
        self.attempts = int(attempts) if attempts.isdigit() else None
