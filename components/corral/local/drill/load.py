"""One answer by the official client, streamed or whole: who gave it, when it began, and whether all of it came.

The steady load of a drill: so many requests a second, whatever becomes of them, by the official client.

Every second request is streamed; the client tries nothing again.  A request is answered when all of its answer has
come, in the shape that the client knows; any other end is a loss, and its reason is kept.

A tenant that asks as fast as it is answered, until it is refused and for a while after that.

The same request to a host itself and through the gateway, in turns: what the gateway adds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import openai

from corral.local.drill.record import Compared, Exhausted, Outcome, Pair, Request
from corral.local.drill.script import Exhaustion
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


_SHORT, _LONG = 8, 50
"""Words of a prompt; the hosts repeat it, so an answer has some more."""
_EACH_LONG = 8
"""One request in so many is long: its stream outlives a move."""


@dataclass(frozen=True)
class Asked:
    """A model to ask, and whether all its hosts stream."""

    model: str
    streams: bool


class Load:
    """Asks the models in turn.  `clock` gives the seconds since the start; `took` is told of every end."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        asked: Sequence[Asked],
        rate: float,
        clock: Callable[[], float],
        took: Callable[[Request], None],
    ) -> None:
        self._client = client
        self._asked = asked
        self._rate = rate
        self._clock = clock
        self._took = took
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """Requests that have no end yet."""
        return len(self._asking)

    async def run(self) -> None:
        """Asks until it is cancelled; what is under way then goes on.

        A machine that is too slow for the rate asks less: there is no catching up.
        """
        due = self._clock()
        for number in count():
            await asyncio.sleep(max(0, due - self._clock()))
            task = asyncio.create_task(self._ask(number))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            due = max(due + 1 / self._rate, self._clock())

    async def finish(self) -> None:
        """Waits for the end of what is under way."""
        await asyncio.gather(*self._asking)

    async def cut(self) -> None:
        """Ends what is under way."""
        for task in tuple(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _ask(self, number: int) -> None:
        turn, place = divmod(number, len(self._asked))
        asked = self._asked[place]
        answer = Answer(self._clock)
        streamed = asked.streams and turn % 2 == 0
        words = _LONG if turn % _EACH_LONG == 0 else _SHORT
        sent = self._clock()
        try:
            why = await answer.take(self._client, asked.model, "word " * words, streamed=streamed)
            outcome: Outcome = "lost" if why else "answered"
        except asyncio.CancelledError:
            outcome, why = "cut short", ""
        self._took(
            Request(
                model=asked.model,
                streamed=streamed,
                sent=sent,
                first=answer.first,
                ended=self._clock(),
                host=answer.host,
                attempts=answer.attempts,
                outcome=outcome,
                why=why,
            )
        )


_CLIENTS = 8
_PAUSE = 0.05
"""Seconds after a refusal: what is tried is the limit, not the machine."""


async def exceed(client: openai.AsyncOpenAI, exhaustion: Exhaustion, seconds: float) -> Exhausted:
    """Asks until the limit is exceeded, and `seconds` more; gives up after as many requests as must be enough."""
    loop = asyncio.get_running_loop()
    ends: Counter[str] = Counter()
    with_retry_after = begun = 0
    deadline: float | None = None

    async def ask() -> None:
        nonlocal with_retry_after, begun, deadline
        while begun < exhaustion.enough if deadline is None else loop.time() < deadline:
            begun += 1
            answer = Answer(loop.time)
            why = await answer.take(client, exhaustion.model, "word " * exhaustion.words, streamed=False)
            if answer.status == 429:
                ends["refused"] += 1
                with_retry_after += answer.retry_after is not None
                deadline = deadline or loop.time() + seconds
                await asyncio.sleep(_PAUSE)
            else:
                ends[why or "answered"] += 1

    await asyncio.gather(*(ask() for _ in range(_CLIENTS)))
    answered, refused = ends.pop("answered", 0), ends.pop("refused", 0)
    return Exhausted(answered, refused, with_retry_after, dict(ends))


_WARM = 4
"""Pairs at first that do not count: connections are opened, code is loaded."""

_PROMPT = "What is the capital of France, and how many people live there?"


@dataclass(frozen=True)
class Way:
    """One of the two ways to a host."""

    client: openai.AsyncOpenAI
    model: str
    """As it is called there."""


async def compare(direct: Way, through: Way, host: str, seconds: float, *, streams: bool) -> Compared:
    """Pairs of which both were answered, by that host; whole and, where it streams, streamed ones."""
    pairs: list[Pair] = []
    clock = asyncio.get_running_loop().time
    end, number = clock() + seconds, 0
    while clock() < end:
        streamed, direct_first = streams and number % 2 == 1, number % 4 < 2
        early = await _time(direct, None, streamed=streamed) if direct_first else None
        behind = await _time(through, host, streamed=streamed)
        alone = early if direct_first else await _time(direct, None, streamed=streamed)
        if number >= _WARM and alone is not None and behind is not None:
            pairs.append(Pair(streamed, alone, behind))
        number += 1
    return Compared(tuple(pairs))


async def _time(way: Way, host: str | None, *, streamed: bool) -> float | None:
    """Seconds until the first piece of a stream, or the end of a whole answer; None: not answered by that host."""
    clock = asyncio.get_running_loop().time
    answer = Answer(clock)
    begun = clock()
    why = await answer.take(way.client, way.model, _PROMPT, streamed=streamed)
    if why or (host and answer.host != host):
        return None
    return (answer.first if streamed and answer.first is not None else clock()) - begun
