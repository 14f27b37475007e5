"""A tenant that asks as fast as it is answered, until it is refused and for a while after that."""

from __future__ import annotations

import asyncio
from collections import Counter

import openai

from components.drill.answer import Answer
from components.drill.limits import Exhaustion
from components.drill.record import Exhausted

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
