"""The stack file that a run follows: how it is read, and when to look at it again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

import watchfiles

from corral.local.desired import Desired, desire
from corral.local.placement import Simulate
from corral.plan.checks.run import CheckedStack

_DEBOUNCE_MS, _STEP_MS = 50, 10
"""An event is acted on once none has followed it for the shorter time; after the longer one in any case."""
_LOOK_MS = 500
"""The stack file is looked at this often also where no event comes, as on some network file systems."""


class Keys(defaultdict[str, str]):
    """A key for any host that asks, the same one each time, good for the simulated host only."""

    def __missing__(self, host: str) -> str:
        self[host] = f"simulated-{token_urlsafe(24)}"
        return self[host]


@dataclass(frozen=True)
class Edition:
    """What the stack file held at one moment, and what it says."""

    text: bytes | None
    stack: CheckedStack


@dataclass(frozen=True)
class Source:
    """The stack file that is followed, and how it is read."""

    project: Path
    file: Path
    load: Callable[[], CheckedStack]
    """Reads, plans and checks it.  Raises ConfigError or RefusedError."""
    environment: Mapping[str, str]
    """Where the hosts' keys are."""

    def text(self) -> bytes | None:
        """What the file holds; None while there is none, as when an editor is about to replace it."""
        try:
            return self.file.read_bytes()
        except OSError:
            return None

    def edition(self) -> Edition:
        """What it holds now: whatever is saved from now on is another text.  Raises ConfigError or RefusedError."""
        text = self.text()
        return Edition(text, self.load())

    def desire(
        self, stack: CheckedStack, simulate: Simulate | None, keys: Keys, made_before: Mapping[str, str] | None = None
    ) -> Desired:
        """What the file, once stack, asks of this machine; `made_before` are tenants' keys that this run has made.

        Raises EngineError.
        """
        return desire(stack, simulate or stack.settings.simulate, self.environment, keys, made_before or {})

    def looks(self) -> AsyncIterable[object]:
        """One each time that the file may hold something else.

        What it holds decides then, not the event: one that came before the watch began is not missed.
        """

        def ours(_: watchfiles.Change, path: str) -> bool:
            return Path(path) == self.file

        return watchfiles.awatch(  # pyright: ignore[reportUnknownMemberType] (its event type is untyped)
            self.file.parent,
            watch_filter=ours,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            recursive=False,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
        )
