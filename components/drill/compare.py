"""The same request to a host itself and through the gateway, in turns: what the gateway adds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import openai

from components.drill.answer import Answer
from components.drill.record import Compared, Pair

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
