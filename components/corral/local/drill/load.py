"""The load of a drill: requests by the official client, which tries nothing again, and what became of each.

A request is answered when all of its answer has come, in the shape that the client knows; any other end is a loss, and
its reason is kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from corral.local.drill.record import Exhausted, Outcome, Request
from corral.local.drill.script import Exhaust
from corral.local.envoy.names import ATTEMPTS_HEADER, HOST_HEADER


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

    async def take(self, client: openai.AsyncOpenAI, model: str, words: int, *, streamed: bool) -> str:
        """Sends a prompt of so many words and takes the whole answer; why it is not one, or nothing."""
        try:
            raw = await client.chat.completions.with_raw_response.create(
                model=model, messages=[{"role": "user", "content": "word " * words}], stream=streamed
            )
            self._head(raw.status_code, raw.headers)
            return await self._take(raw.parse())
        except openai.APIStatusError as error:
            self._head(error.status_code, error.response.headers)
            return f"HTTP {error.status_code} {error.code or ''}".rstrip()
        except openai.APITimeoutError:
            return "no answer in time"
        except Exception as error:
            return type(error.__cause__ or error).__name__

    async def _take(self, answer: ChatCompletion | openai.AsyncStream[ChatCompletionChunk]) -> str:
        if isinstance(answer, ChatCompletion):
            complete = any(choice.message.content for choice in answer.choices if choice.finish_reason)
            return "" if complete else "an answer without content"
        finished = False
        async for chunk in answer:
            if self.first is None:
                self.first = self._clock()
            finished = finished or any(choice.finish_reason for choice in chunk.choices)
        return "" if finished else "a stream that ended in the middle"

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        attempts = headers.get(ATTEMPTS_HEADER, "")
        self.status, self.host, self.retry_after = status, headers.get(HOST_HEADER), headers.get("retry-after")
        self.attempts = int(attempts) if attempts.isdigit() else None


_SHORT_WORDS, _LONG_WORDS = 8, 50
"""Lengths of a prompt; the hosts repeat it, so an answer has some more."""
_LONG_EVERY = 8
"""One turn in so many is long: its stream outlives a move."""


@dataclass(frozen=True)
class Route:
    """A model to call, and whether all its hosts stream."""

    model: str
    streams: bool


@dataclass
class Load:
    """A steady load: calls the models in turn, so many times a second, whatever becomes of the requests.

    Every second turn is streamed.  `clock` gives the seconds since the start; `ended` is called at every end.
    """

    client: openai.AsyncOpenAI
    routes: Sequence[Route]
    rate: float
    clock: Callable[[], float]
    ended: Callable[[Request], None]
    _requests: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def under_way(self) -> int:
        """Requests that have no end yet."""
        return len(self._requests)

    async def run(self) -> None:
        """Calls until it is cancelled; what is under way then goes on.

        A machine that is too slow for the rate calls less: there is no catching up.
        """
        due = self.clock()
        for number in count():
            await asyncio.sleep(max(0, due - self.clock()))
            task = asyncio.create_task(self._call(number))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)
            due = max(due + 1 / self.rate, self.clock())

    async def finish(self) -> None:
        """Waits for the end of what is under way."""
        await asyncio.gather(*self._requests)

    async def cut(self) -> None:
        """Ends what is under way."""
        for task in tuple(self._requests):
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)

    async def _call(self, number: int) -> None:
        turn, place = divmod(number, len(self.routes))
        route = self.routes[place]
        answer = Answer(self.clock)
        streamed = route.streams and turn % 2 == 0
        words = _LONG_WORDS if turn % _LONG_EVERY == 0 else _SHORT_WORDS
        sent = self.clock()
        try:
            why = await answer.take(self.client, route.model, words, streamed=streamed)
            outcome: Outcome = "lost" if why else "answered"
        except asyncio.CancelledError:
            outcome, why = "cut short", ""
        self.ended(
            Request(
                model=route.model,
                streamed=streamed,
                sent=sent,
                first=answer.first,
                ended=self.clock(),
                host=answer.host,
                attempts=answer.attempts,
                outcome=outcome,
                why=why,
            )
        )


_CLIENTS = 8
_PAUSE_SECONDS = 0.05
"""After a refusal: what is tried is the limit, not the machine."""


async def exceed(client: openai.AsyncOpenAI, step: Exhaust) -> Exhausted:
    """Calls as fast as it is answered until the limit is exceeded, and the step's time more.

    Gives up after as many requests as must be enough.
    """
    loop = asyncio.get_running_loop()
    ends: Counter[str] = Counter()
    with_retry_after = begun = 0
    deadline: float | None = None

    async def call() -> None:
        nonlocal with_retry_after, begun, deadline
        while begun < step.enough if deadline is None else loop.time() < deadline:
            begun += 1
            answer = Answer(loop.time)
            why = await answer.take(client, step.model, step.words, streamed=False)
            if answer.status == 429:
                ends["refused"] += 1
                with_retry_after += answer.retry_after is not None
                deadline = deadline or loop.time() + step.seconds
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                ends[why or "answered"] += 1

    await asyncio.gather(*(call() for _ in range(_CLIENTS)))
    answered, refused = ends.pop("answered", 0), ends.pop("refused", 0)
    return Exhausted(answered, refused, with_retry_after, dict(ends))
