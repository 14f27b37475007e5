"""Server-sent events: the state for a viewer who comes, and again each second if it has changed.

A state is objects within objects down to texts and numbers; what is unknown is absent.

Policy.  A state is computed and encoded once, whoever watches; while nobody does, nothing is.  Nothing is queued for a
viewer: one who reads too slowly misses states.  While nothing changes, nothing is sent but a comment now and then, from
which a connection that has died is noticed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

State = dict[str, Any]

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
        self._event = b""
        self._changed = asyncio.Event()
        self._ended = False
        self.viewers = 0

    def publish(self) -> None:
        """Sends the state to those who watch, if it has changed."""
        if not self.viewers:
            return
        state = self._current()
        if state != self._state:
            self._state = state
            self._event = f"data: {json.dumps(state, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()
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
            sent = self._event
            yield _RETRY + sent
            while not self._ended:
                changed = self._changed
                if sent is not self._event:
                    sent = self._event
                    yield sent
                    continue
                try:
                    async with asyncio.timeout(self._silence):
                        await changed.wait()
                except TimeoutError:
                    yield _ALIVE
        finally:
            self.viewers -= 1

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
