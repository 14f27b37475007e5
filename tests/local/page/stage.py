"""The page on a real server, shown snapshots of an engine that was never there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from corral.local.budgets import BudgetStatus
from corral.local.page.feed import Feed
from corral.local.page.server import page_app
from corral.local.page.state import Snapshot
from corral.local.page.watch import Watch
from corral.local.statistics.readings import Readings, Series
from corral.plan.plan import Plan
from corral.simulated.loopback import bind, settings
from tests.local.page.snapshots import PLAN


class Stage:
    """What the page shows is what it is told here; the clock is the wall's."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.plan = plan
        self.counters: Counter[Series] = Counter()
        self.ejected: frozenset[tuple[str, str]] = frozenset()
        self.faults: Mapping[str, str] = {}
        self.active: Mapping[str, int] = {}
        self.budgets: Sequence[BudgetStatus] = ()
        self._watch = Watch("http://127.0.0.1:8080/v1")
        self._feed = Feed(self._watch.state)
        self._listening = bind(0)
        self._loop = asyncio.new_event_loop()
        self._at = 0.0
        self.observe()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}/"

    def observe(self, seconds: float = 1.0) -> None:
        """Another snapshot, so many seconds after the one before."""
        self._at += seconds
        readings = Readings(Counter(self.counters), active_of_tenants=dict(self.active), left_out=self.ejected)
        now = time.time_ns() // 1_000_000
        faults, simulated = dict(self.faults), {"deepinfra": "no key"}
        self._watch.observe(Snapshot(self._at, now, self.plan, readings, faults, simulated, budgets=self.budgets))

    def show(self) -> None:
        """A snapshot, and all viewers are told."""
        self._do(self._publish())

    def mark_unavailable(self, problem: str) -> None:
        self._watch.mark_unavailable(problem, time.time_ns() // 1_000_000)
        self._do(self._publish(observe=False))

    async def _publish(self, *, observe: bool = True) -> None:
        if observe:
            self.observe()
        self._feed.publish()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serves the page in a thread."""
        server = uvicorn.Server(settings(page_app(self._watch, self._feed), timeout_graceful_shutdown=1))
        thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(server.serve([self._listening])), daemon=True
        )
        thread.start()
        try:
            yield self.url
        finally:
            self._loop.call_soon_threadsafe(self._feed.end)
            server.should_exit = True
            thread.join(10)
            self._loop.close()
            self._listening.close()
