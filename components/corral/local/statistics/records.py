"""What a run keeps of its requests: the files of their log, and the prices that were in force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from corral.local import state_folder as directory
from corral.local.errors import EngineError
from corral.local.state_folder import Folder
from corral.local.statistics import prices
from corral.local.statistics.prices import UsageError, tariff, with_tariff
from corral.local.statistics.request_log import Rotation
from corral.plan.plan import Plan

_PAUSE = 5.0
"""Seconds between two looks at the log's files."""


class Records:
    """The log and the prices of one stack.  `reopen` has Envoy open the log anew; it raises EngineError."""

    def __init__(self, folder: Folder, reopen: Callable[[], Awaitable[None]], say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._complaint = ""
        try:
            folder.make()
            self._rotation = Rotation(folder, reopen)
        except OSError as reason:
            raise EngineError(f"The log of requests cannot be kept in {folder.requests}: {reason.strerror}.") from None

    @property
    def log(self) -> Path:
        """The file that Envoy writes."""
        return self._folder.current

    def in_force(self, plan: Plan, simulated: Mapping[str, str | None], keep: timedelta) -> None:
        """A plan is in force from now on: its prices are.  `simulated` says per host why it is not the real one.

        Raises EngineError.
        """
        self._rotation.keep = keep
        made_up = frozenset(host for host, why in simulated.items() if why)
        try:
            text = with_tariff(prices.read(self._folder), tariff(plan, made_up, datetime.now(UTC)))
        except UsageError as reason:
            self._say(f"{reason}. Until then no prices are written down.")
            return
        if text is not None:
            directory.replace_file(self._folder.prices, text)

    @asynccontextmanager
    async def kept_in_order(self) -> AsyncGenerator[None]:
        """Ends and deletes files of the log when it is time, until the end of the block."""
        keeping = asyncio.create_task(self._keep_in_order())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep_in_order(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_PAUSE)

    async def look(self) -> None:
        """Does what is due; what cannot be done now is said, and done the next time."""
        try:
            await self._rotation.look()
        except EngineError:
            return  # Envoy is being started again
        except OSError as reason:
            complaint = f"The log of requests is not in order: {reason.filename}: {reason.strerror}."
            if complaint != self._complaint:
                self._say(complaint)
            self._complaint = complaint
        else:
            self._complaint = ""
