"""A record of a drill that never took place, small enough to be reckoned with."""

from __future__ import annotations

from dataclasses import replace

from corral.local.drill.record import Arrival, Exhausted, Failed, Moved, Record, Refused, Request, Span
from corral.local.drill.script import Break, Exhaust, Fail, Move, script
from corral.local.drill.stack_copy import TenantKeys, rehearsal
from tests.plan.world import LLAMA, build

PLAN = build({LLAMA: {"shares": {"azure": 60, "vllm": 40}, "fallback": ["deepinfra"]}}, tenants={"search": {}})


def request(sent: float, *, host: str = "azure", first: float = 0.02, attempts: int = 1, why: str = "") -> Request:
    """A streamed one; lost where there is a reason."""
    outcome = "lost" if why else "answered"
    return Request(LLAMA, True, sent, None if why else sent + first, sent + 0.5, host, attempts, outcome, why)


def record() -> Record:
    """Steps of one second each, in the order of the script; ten requests a second, azure and vllm in turns."""
    kept = Record(PLAN, rehearsal(PLAN, TenantKeys()), script(PLAN))
    requests: list[Request] = []
    for number, step in enumerate(kept.steps):
        began = float(number)
        kept.spans.append(Span(step, began, began + 1, _result(step, began)))
        for tenth in range(10):
            at = began + tenth / 10
            host = _host(step, tenth)
            met = isinstance(step, Fail) and step.how != "slow-first-byte" and tenth == 1
            requests.append(request(at, host=host, first=0.3 if met else 0.02, attempts=2 if met else 1))
            kept.arrivals.append(Arrival(at + 0.01, host, LLAMA, 200))
    kept.requests += requests
    kept.seconds = float(len(kept.spans))
    kept.notices.append((1.5, "azure is left out of it."))
    return kept


def _host(step: object, tenth: int) -> str:
    if isinstance(step, Move) and step.shares[LLAMA]["azure"] == 0 and tenth > 1:
        return "vllm"
    return "vllm" if tenth % 5 in (1, 3) else "azure"


def _result(step: object, began: float):
    match step:
        case Move():
            return Moved(began, began + 0.1)
        case Break():
            return Refused(step.title, "it is refused", unchanged=True)
        case Fail(hosts=hosts):
            left = {(LLAMA, host): began + 0.4 for host in hosts}
            return Failed(began, left, began + 0.5, began + 0.9)
        case Exhaust():
            return Exhausted(60, 12, 12, {})
        case _:
            return None


def with_loss(kept: Record) -> Record:
    """The same, with one request lost."""
    return replace(kept, requests=[*kept.requests, request(3.5, why="HTTP 503 no_host_left")])


def alone() -> Record:
    """A drill that has only begun, on a stack with one host."""
    plan = build({LLAMA: {"shares": {"azure": 100}}})
    kept = Record(plan, plan, script(plan))
    kept.spans.append(Span(kept.steps[0], 0, 1, None))
    return kept
