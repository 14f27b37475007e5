"""The steady load of a drill: so many requests a second, whatever becomes of them, by the official client.

Every second request is streamed; the client tries nothing again.  A request is answered when all of its answer has
come, in the shape that the client knows; any other end is a loss, and its reason is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import openai

from components.drill.answer import Answer
from components.drill.record import Outcome, Request

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
