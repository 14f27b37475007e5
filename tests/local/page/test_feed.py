"""What viewers are sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from corral.local.page.feed import Feed


class World:
    """A state that changes."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"n": 0, "models": {"m": {"rps": 1}}}
        self.calls = 0

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        return dict(self.state)


def state_of(sent: bytes) -> dict[str, Any]:
    """The data of an event."""
    *_, data = sent.decode().removesuffix("\n\n").split("\n")
    return json.loads(data.removeprefix("data: "))


def test_a_viewer_gets_the_state_and_again_whenever_it_has_changed():
    async def scenario() -> list[dict[str, Any]]:
        world = World()
        feed = Feed(world)
        viewer = feed.events()
        got = [state_of(await anext(viewer))]
        for n in (1, 1, 2):
            world.state = {**world.state, "n": n}
            feed.publish()
            if n != got[-1]["n"]:
                got.append(state_of(await anext(viewer)))
        feed.end()
        assert [sent async for sent in viewer] == []
        return got

    models = {"m": {"rps": 1}}
    assert asyncio.run(scenario()) == [{"n": n, "models": models} for n in range(3)]


def test_a_viewer_who_reads_too_slowly_misses_states():
    async def scenario() -> None:
        world = World()
        feed = Feed(world)
        slow, quick = feed.events(), feed.events()
        await anext(slow)
        await anext(quick)
        for n in range(1, 1000):
            world.state = {**world.state, "n": n}
            feed.publish()
            assert state_of(await anext(quick)) == world.state
        assert state_of(await anext(slow)) == world.state
        await slow.aclose()
        await quick.aclose()

    asyncio.run(scenario())


def test_while_nobody_watches_nothing_is_computed_and_who_comes_later_sees_the_present():
    async def scenario() -> None:
        world = World()
        feed = Feed(world)
        for _ in range(5):
            feed.publish()
        assert world.calls == 0
        viewer = feed.events()
        await anext(viewer)
        await viewer.aclose()
        assert feed.viewers == 0
        world.state = {"n": 7, "models": {}}
        again = feed.events()
        assert state_of(await anext(again)) == {"n": 7, "models": {}}
        await again.aclose()

    asyncio.run(scenario())


def test_many_viewers_cost_one_computation():
    async def scenario() -> None:
        world = World()
        feed = Feed(world)
        viewers = [feed.events() for _ in range(50)]
        for viewer in viewers:
            await anext(viewer)
        calls = world.calls
        world.state = {**world.state, "n": 1}
        feed.publish()
        sent = [await anext(viewer) for viewer in viewers]
        assert (world.calls - calls, len(set(map(id, sent)))) == (1, 1)
        for viewer in viewers:
            await viewer.aclose()

    asyncio.run(scenario())


def test_while_nothing_changes_nothing_is_sent_but_a_comment():
    async def scenario() -> bytes:
        feed = Feed(World(), silence=0.01)
        viewer = feed.events()
        await anext(viewer)
        feed.publish()
        sent = await anext(viewer)
        await viewer.aclose()
        return sent

    assert asyncio.run(scenario()).startswith(b":")
