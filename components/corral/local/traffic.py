"""A trickle of requests, so that there is something to see before anybody calls.

Policy.  Only models whose hosts are all simulated are asked for, whatever the plan becomes: no request of ours costs
money.  Half of the answers are streamed.  What goes wrong is for the table and the page to show; it is not said twice.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Protocol

import httpx

from corral.plan.plan import Plan

_PAUSE = 0.08
"""Seconds between two requests: some twelve a second."""
_AT_ONCE = 50
_WORDS = ("Name three rivers.", "What is a llama?", "Tell me of a day in the hills, in as many words as you like.")


class Sending(Protocol):
    """A stack that is being served."""

    @property
    def url(self) -> str: ...

    @property
    def plan(self) -> Plan: ...

    @property
    def simulated(self) -> Mapping[str, str | None]:
        """Per host why it is simulated; None: it is the real one."""
        ...


def free_of_charge(served: Sending) -> list[str]:
    """The models whose hosts are all simulated, in order of name."""
    simulated = served.simulated
    return [model.name for model in served.plan.models if all(simulated.get(target.host) for target in model.live)]


async def send_traffic(served: Sending, key: str = "") -> None:
    """Sends requests until it is cancelled; `key` is a tenant's."""
    limits = httpx.Limits(max_connections=_AT_ONCE)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    turns = itertools.count()
    # It calls itself, by an address that its certificate need not name.
    client = httpx.AsyncClient(
        base_url=served.url,
        headers=headers,
        timeout=30,
        limits=limits,
        trust_env=False,
        verify=False,  # noqa: S501
    )
    async with (
        client,
        asyncio.TaskGroup() as asking,
    ):
        under_way: set[asyncio.Task[None]] = set()
        while True:
            models = free_of_charge(served)
            if models and len(under_way) < _AT_ONCE:
                turn = next(turns)
                task = asking.create_task(_ask(client, models[turn % len(models)], turn))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(_PAUSE)


async def _ask(client: httpx.AsyncClient, model: str, turn: int) -> None:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": _WORDS[turn % len(_WORDS)]}],
        "stream": turn // 2 % 2 == 1,
    }
    try:
        await client.post("/chat/completions", json=body)
    except httpx.HTTPError:
        return
