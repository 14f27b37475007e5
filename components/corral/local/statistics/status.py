"""Declared beside observed: what the plan says, and what Envoy has counted since it came into force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Literal

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from corral.local.budgets import BudgetStatus
from corral.local.envoy.statistics import DURATION, FIRST_BYTE
from corral.local.statistics.readings import Readings, quantile
from corral.local.statistics.totals import Tally, durations, tallies
from corral.plan.plan import ModelPlan, Plan, Target

_CAMEL = ConfigDict(alias_generator=to_camel)


@dataclass(frozen=True)
class HostStatus:
    """One host of one model."""

    __pydantic_config__ = _CAMEL

    host: str
    role: Literal["share", "fallback", "drained", "candidate"]
    declared: int
    """Percent."""
    observed: float | None
    """Percent of the requests that a host answered; None: there were none."""
    requests: int
    """Requests it answered."""
    attempts: int
    failed_attempts: int
    """Attempts that failed and went elsewhere, if there was another host."""
    p50: float | None
    """Milliseconds until the answer was complete."""
    p99: float | None
    ejected: bool
    """Whether it gets no requests at the moment, for it has failed."""
    simulated: str | None
    """Why it is simulated; None: it is the real host."""
    first_byte_p95: float | None
    """Milliseconds until the answer began."""
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class ModelStatus:
    """One model."""

    __pydantic_config__ = _CAMEL

    model: str
    requests: int
    server_errors: int
    """Requests that ended in a 5xx, or in no answer or half of one."""
    client_errors: int
    """Requests that ended in a 4xx."""
    hosts: tuple[HostStatus, ...]


@dataclass(frozen=True)
class Reload:
    """How the stack file was read last."""

    __pydantic_config__ = _CAMEL

    problem: str | None
    """Why what it holds is not in force; None: it is."""
    since: datetime
    """Since when that is so."""
    succeeded: datetime
    """When what it held was last brought into force, or found to be."""


@dataclass(frozen=True)
class StackStatus:
    """A stack that is being served."""

    __pydantic_config__ = _CAMEL

    plan: str
    """The hash of the plan in force."""
    last_reload: Reload
    models: tuple[ModelStatus, ...]
    budgets: tuple[BudgetStatus, ...] = ()


STATUS = TypeAdapter(StackStatus)
"""Reads it from JSON, whose keys are in camelCase."""


def status(plan: Plan, since: Readings, simulated: Mapping[str, str | None]) -> tuple[ModelStatus, ...]:
    """The status of every model; `since` is what was counted since the plan came into force, `simulated` is by host."""
    models, hosts = tallies(since.counters, attrgetter("model")), tallies(since.counters, attrgetter("model", "host"))
    times, ejected = durations(since.times), since.ejected(plan)

    def of_host(model: str, target: Target, answered: int) -> HostStatus:
        tally: Tally = hosts[model, target.host]
        bins = times[DURATION, model, target.host]
        return HostStatus(
            host=target.host,
            role=target.role,
            declared=target.share,
            observed=100 * tally.requests / answered if answered else None,
            requests=tally.requests,
            attempts=tally.attempts,
            failed_attempts=tally.failed_attempts,
            p50=quantile(bins, 0.5),
            p99=quantile(bins, 0.99),
            ejected=(model, target.host) in ejected,
            simulated=simulated.get(target.host),
            first_byte_p95=quantile(times[FIRST_BYTE, model, target.host], 0.95),
            input_tokens=tally.input_tokens,
            output_tokens=tally.output_tokens,
        )

    def of_model(model: ModelPlan) -> ModelStatus:
        tally: Tally = models[model.name]
        answered = tally.requests - hosts[model.name, ""].requests
        targets = tuple(of_host(model.name, target, answered) for target in model.targets)
        return ModelStatus(model.name, tally.requests, tally.server_errors, tally.client_errors, targets)

    return tuple(map(of_model, plan.models))
