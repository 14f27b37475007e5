"""Server-sent events: one snapshot for a viewer who comes, then what changed each second (RFC 7396).

A state is objects within objects down to texts and numbers.  It holds no null and no list: what is unknown is absent,
and null in a difference, a JSON Merge Patch, says that a member has gone.

Policy.  A difference is computed and encoded once, whoever watches; while nobody does, nothing is.  Nothing is queued
for a viewer: one who reads too slowly misses differences, and gets a snapshot instead.  While nothing changes, nothing
is sent but a comment now and then, from which a connection that has died is noticed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

State = dict[str, Any]


def difference(before: State, after: State) -> State:
    """What makes `after` of `before`; empty where they are the same."""
    changes: State = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if old == value:
            continue
        both = isinstance(old, dict) and isinstance(value, dict)
        changes[name] = difference(cast("State", old), cast("State", value)) if both else value
    return changes


VIEWERS = 100
"""At once; more are refused."""
_SILENCE_SECONDS = 15.0
_RETRY = b"retry: 1000\n\n"
_ALIVE = b": nothing has changed\n\n"


class Feed:
    """The state as it changes, for any number of viewers."""

    def __init__(self, state: Callable[[], State], silence: float = _SILENCE_SECONDS) -> None:
        self._current = state
        self._silence = silence
        self._state: State = {}
        self._version = 0
        self._difference = b""
        self._snapshot: bytes | None = None
        self._changed = asyncio.Event()
        self._ended = False
        self.viewers = 0

    def publish(self) -> None:
        """Sends what has changed to those who watch."""
        if not self.viewers:
            return
        state = self._current()
        changes = difference(self._state, state)
        if not changes:
            return
        self._state, self._snapshot = state, None
        self._version += 1
        self._difference = _event("change", changes)
        self._wake()

    def end(self) -> None:
        """Ends all viewers' streams."""
        self._ended = True
        self._wake()

    async def events(self) -> AsyncGenerator[bytes]:
        """What one viewer is sent."""
        self.viewers += 1
        try:
            if self.viewers == 1:
                self.publish()
            seen = self._version
            yield _RETRY + self._whole()
            while not self._ended:
                changed = self._changed
                if seen == self._version:
                    try:
                        async with asyncio.timeout(self._silence):
                            await changed.wait()
                    except TimeoutError:
                        yield _ALIVE
                    continue
                behind, seen = self._version - seen, self._version
                yield self._difference if behind == 1 else self._whole()
        finally:
            self.viewers -= 1

    def _whole(self) -> bytes:
        if self._snapshot is None:
            self._snapshot = _event("snapshot", self._state)
        return self._snapshot

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _event(name: str, state: State) -> bytes:
    return f"event: {name}\ndata: {json.dumps(state, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()
