"""The metrics of a run of `corral up`, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from components.embedded.admin import Admin
from components.embedded.errors import EngineError
from components.embedded.readings import left_out
from components.metrics.exposition import ACTIVE, Snapshot, expose, tokens
from components.metrics.samples import Numbers, read
from components.metrics.spending import Spending
from components.metrics.totals import Totals
from components.plan.plan import Plan
from components.render.envoy import statistics
from components.render.envoy.names import link_name
from components.usage.prices import tariff

_WANTED = rf"^{statistics.PREFIX}\.|^http\.gateway\.downstream_rq_active$"


class Metrics:
    """What one Envoy has counted, over all its lives; `life` tells which one it is in."""

    def __init__(self, admin: Admin, life: Callable[[], int]) -> None:
        self._admin = admin
        self._life = life
        self._totals = Totals()
        self._spending = Spending()
        self._one_look = asyncio.Lock()

    async def look(self, plan: Plan) -> Snapshot:
        """How everything stands.  What was counted since the last look costs what `plan` says.  Raises EngineError."""
        async with self._one_look:
            life, text = await self._read()
            ejected = await left_out(self._admin)
            return await asyncio.to_thread(self._absorb, plan, life, text, ejected)

    async def metrics(self, plan: Plan, accept: str = "") -> tuple[bytes, str]:
        """The body and content type for Prometheus; `accept` is the header of its request.  Raises EngineError."""
        return await asyncio.to_thread(expose, await self.look(plan), accept)

    async def _read(self) -> tuple[int, str]:
        """Envoy's numbers, and the life they are of."""
        while True:
            life = self._life()
            text = await self._admin.prometheus(_WANTED)
            if life == self._life():
                return life, text

    def _absorb(self, plan: Plan, life: int, text: str, ejected: set[tuple[str, str]]) -> Snapshot:
        numbers = read(text)
        counted: Numbers = {sample: number for sample, number in numbers.items() if sample.name != ACTIVE}
        totals = self._totals.look(counted, life)
        self._spending.look(tokens(totals), tariff(plan))
        return Snapshot(
            plan=plan,
            totals=totals,
            active=int(sum(number for sample, number in numbers.items() if sample.name == ACTIVE)),
            cost=self._spending.cost.copy(),
            unpriced=self._spending.unpriced.copy(),
            ejected=frozenset(
                (model.name, target.host)
                for model in plan.models
                for target in model.targets
                if (link_name(model.name, target.priority), target.host) in ejected
            ),
        )


def metrics_route(metrics: Callable[[str], Awaitable[tuple[bytes, str]]]) -> Route:
    """`GET /metrics`, for a web server; 503 while Envoy does not answer."""

    async def answer(request: Request) -> Response:
        try:
            body, content_type = await metrics(request.headers.get("accept", ""))
        except EngineError as reason:
            return PlainTextResponse(f"{reason}\n", 503)
        return Response(body, headers={"content-type": content_type})

    return Route("/metrics", answer)
