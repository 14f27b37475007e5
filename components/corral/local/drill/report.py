"""The report of a drill: what its record comes to.  Pure; milliseconds and percent unless a name says otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from corral.local.drill.measure import Effective, Second, Share, effective, shares, timeline
from corral.local.drill.record import Arrival, Compared, Exhausted, Failed, Moved, Record, Refused, Request
from corral.local.drill.script import Break, Exhaust, Fail, Move, Skipped, Watch, declared
from corral.local.statistics.readings import Bin, quantile

_SETTLED = 0.1
"""Seconds after an edit came into force from which its shares are counted."""


@dataclass(frozen=True)
class StepReport:
    title: str
    began: float | None
    """Seconds since the start; None: it was skipped, or not reached."""
    ended: float | None
    skipped: str | None
    """Why."""


@dataclass(frozen=True)
class MoveReport:
    title: str
    model: str
    before: Mapping[str, int]
    after: Mapping[str, int]
    in_force: float | None
    """When the engine said so, from the save; None: never."""
    effective: Effective | None
    """At the hosts, in seconds; None: their requests do not tell."""


@dataclass(frozen=True)
class ShareReport:
    title: str
    model: str
    host: str
    share: Share


@dataclass(frozen=True)
class FailureReport:
    title: str
    met: int
    """Requests that met the failure."""
    first_answer: float | None
    """From the beginning of the failure to the first answer of another host to one of them: the time to fail over."""
    usual: float | None
    """Until an answer begins when nothing fails, half of the time."""
    slowest: float | None
    """Until the answer began, of those that met it."""
    left_out: float | None
    """Until every model left the hosts out; None: at least one did not."""
    back: float | None
    """From the end of the failure until every host had its place again; None: that was not seen."""


@dataclass(frozen=True)
class LatencyReport:
    what: str
    pairs: int
    direct: tuple[float, float]
    """The half and the 99th hundredth."""
    through: tuple[float, float]
    added: tuple[float, float]
    """The half and the 99th hundredth of the differences within a pair."""


@dataclass(frozen=True)
class LimitReport:
    tenant: str
    limit: str
    allowed: int
    """In a minute."""
    answered: int
    refused: int
    with_retry_after: int
    otherwise: Mapping[str, int]
    others: int
    """Requests of the steady load meanwhile."""
    others_lost: int


@dataclass(frozen=True)
class BrokenReport:
    title: str
    told: str | None
    unchanged: bool


@dataclass(frozen=True)
class Report:
    stack: str
    started: str
    """ISO 8601."""
    seconds: float
    ended_early: bool
    requests: int
    streamed: int
    lost: int
    reasons: Mapping[str, int]
    """Of losses."""
    cut_short: int
    """By the end of the drill."""
    refused_by_limit: int
    """Expected, and no loss."""
    steps: tuple[StepReport, ...]
    latency: tuple[LatencyReport, ...]
    moves: tuple[MoveReport, ...]
    shares: tuple[ShareReport, ...]
    failures: tuple[FailureReport, ...]
    broken: tuple[BrokenReport, ...]
    limit: LimitReport | None
    differences: tuple[str, ...]
    """What the copy of the stack has otherwise than the stack."""
    problems: tuple[str, ...]
    """What must not be; empty: the drill has succeeded."""
    said: tuple[tuple[float, str], ...]
    """What the engine told the person at the terminal, and when: seconds since the start."""
    timeline: tuple[Second, ...]


def report(record: Record, started: str) -> Report:
    """What the record comes to, at the end or before."""
    outcomes = Counter(request.outcome for request in record.requests)
    waits = _Waits(record.requests)
    moves = tuple(_moves(record))
    failures = tuple(_failures(record, waits))
    broken = tuple(
        BrokenReport(span.step.title, span.result.told, span.result.unchanged)
        for span in record.spans
        if isinstance(span.step, Break) and isinstance(span.result, Refused)
    )
    limit = next(_limits(record), None)
    return Report(
        stack=record.plan.stack,
        started=started,
        seconds=record.seconds,
        ended_early=record.ended_early,
        requests=outcomes["answered"] + outcomes["lost"],
        streamed=sum(request.streamed for request in record.requests if request.outcome != "cut short"),
        lost=outcomes["lost"],
        reasons=dict(record.reasons()),
        cut_short=outcomes["cut short"],
        refused_by_limit=limit.refused if limit else 0,
        steps=tuple(_steps(record)),
        latency=tuple(_latency(record)),
        moves=moves,
        shares=tuple(_shares(record)),
        failures=failures,
        broken=broken,
        limit=limit,
        differences=tuple(_differences(record)),
        problems=tuple(_problems(outcomes["lost"], moves, failures, broken, limit)),
        said=tuple(record.said),
        timeline=timeline(record.requests, record.arrivals, waits.of),
    )


class _Waits:
    """How long clients waited until their answer began: of streamed answers, unless none is streamed."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._streamed = any(request.streamed for request in requests)

    def of(self, request: Request) -> float | None:
        """Seconds; None: it does not count."""
        if request.outcome != "answered" or request.streamed != self._streamed:
            return None
        return (request.first if request.first is not None else request.ended) - request.sent


def _steps(record: Record) -> Iterator[StepReport]:
    spans = iter(record.spans)
    for step in record.script:
        if isinstance(step, Skipped):
            yield StepReport(step.title, None, None, step.why)
        else:
            span = next(spans, None)
            yield StepReport(step.title, span and span.began, span and span.ended, None)


def _latency(record: Record) -> Iterator[LatencyReport]:
    for span in record.spans:
        if not isinstance(span.result, Compared):
            continue
        for streamed, what in ((False, "whole answer"), (True, "first piece of a stream")):
            pairs = [pair for pair in span.result.pairs if pair.streamed == streamed]
            if pairs:
                yield LatencyReport(
                    what,
                    len(pairs),
                    _quantiles([pair.direct for pair in pairs]),
                    _quantiles([pair.through for pair in pairs]),
                    _quantiles([pair.through - pair.direct for pair in pairs]),
                )


def _quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    values = Counter(map(Bin, seconds))
    return 1000 * (quantile(values, 0.5) or 0.0), 1000 * (quantile(values, 0.99) or 0.0)


def _moves(record: Record) -> Iterator[MoveReport]:
    present = declared(record.plan)
    for span in record.spans:
        if not isinstance(span.step, Move) or not isinstance(span.result, Moved):
            continue
        saved, in_force = span.result.saved, span.result.in_force
        for model, after in span.step.shares.items():
            before, present[model] = present[model], dict(after)
            arrivals = [each for each in _arrivals(record, model) if each.at < span.ended]
            yield MoveReport(
                span.step.title,
                model,
                before,
                after,
                1000 * (in_force - saved) if in_force is not None else None,
                effective(arrivals, saved, before, after),
            )


def _arrivals(record: Record, model: str) -> list[Arrival]:
    """Those that a host answered, in order of time."""
    return sorted(
        (each for each in record.arrivals if each.model == model and each.status == 200), key=lambda each: each.at
    )


def _shares(record: Record) -> Iterator[ShareReport]:
    present = declared(record.plan)
    for span in record.spans:
        match span.step, span.result:
            case Watch(), _:
                yield from _observed(record, span.step.title, span.began, span.ended, present)
            case Move(shares=moved), Moved(in_force=float(in_force)):
                present |= {model: dict(after) for model, after in moved.items()}
                yield from _observed(record, span.step.title, in_force + _SETTLED, span.ended, present)
            case _:
                pass
    refused = [(span.began, span.ended) for span in record.spans if isinstance(span.step, Break)]
    if refused:
        yield from _observed(record, "files that are refused", refused[0][0], refused[-1][1], present)


def _observed(
    record: Record, title: str, begin: float, end: float, present: Mapping[str, Mapping[str, int]]
) -> Iterator[ShareReport]:
    for model, of_model in present.items():
        if len(of_model) > 1:
            counts = Counter(each.host for each in _arrivals(record, model) if begin <= each.at < end)
            for host, share in shares(counts, of_model).items():
                yield ShareReport(title, model, host, share)


def _failures(record: Record, waits: _Waits) -> Iterator[FailureReport]:
    quiet = [wait for each in record.requests if (wait := waits.of(each)) is not None and _is_quiet(record, each.sent)]
    usual = 1000 * median(quiet) if quiet else None
    for span in record.spans:
        if isinstance(span.step, Fail) and isinstance(span.result, Failed):
            yield _failure(record, span.step, span.result, waits, usual)


def _failure(record: Record, step: Fail, result: Failed, waits: _Waits, usual: float | None) -> FailureReport:
    slow = step.how == "slow-first-byte"
    met = [
        each
        for each in record.requests
        if result.begun <= each.sent < result.healed
        and each.outcome == "answered"
        and (each.host in step.hosts if slow else (each.attempts or 1) > 1)
    ]
    waited = [wait for each in met if (wait := waits.of(each)) is not None]
    answered = [(each.first if each.first is not None else each.ended) - result.begun for each in met]
    places = [
        (model.name, target.host)
        for model in record.plan.models
        for target in model.sharing
        if target.host in step.hosts
    ]
    left = [result.left_out[place] - result.begun for place in places if place in result.left_out]
    return FailureReport(
        title=step.title,
        met=len(met),
        first_answer=1000 * min(answered) if answered and not slow else None,
        usual=usual,
        slowest=1000 * max(waited) if waited else None,
        left_out=1000 * max(left) if len(left) == len(places) else None,
        back=1000 * (result.whole - result.healed) if result.whole is not None else None,
    )


def _is_quiet(record: Record, at: float) -> bool:
    """Whether the load was alone then, with the shares as declared."""
    return any(isinstance(span.step, Watch) and span.began <= at < span.ended for span in record.spans)


def _limits(record: Record) -> Iterator[LimitReport]:
    for span in record.spans:
        if isinstance(span.step, Exhaust) and isinstance(span.result, Exhausted):
            exceeded, result = span.step.exhaustion, span.result
            others = [each for each in record.requests if span.began <= each.sent < span.ended]
            yield LimitReport(
                tenant=exceeded.tenant,
                limit=exceeded.limit,
                allowed=exceeded.allowed,
                answered=result.answered,
                refused=result.refused,
                with_retry_after=result.with_retry_after,
                otherwise=result.otherwise,
                others=len(others),
                others_lost=sum(each.outcome == "lost" for each in others),
            )


_TIMES = {"connect_timeout": "connectTimeout", "idle_timeout": "idleTimeout", "ejection_time": "ejectionTime"}


def _differences(record: Record) -> Iterator[str]:
    before, after = record.plan.limits, record.rehearsed.limits
    for name, key in _TIMES.items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{key} is {new / 1000:g} s instead of {old / 1000:g} s"
    declared_ones = {tenant.name for tenant in record.plan.tenants}
    own = [tenant.name for tenant in record.rehearsed.tenants if tenant.name not in declared_ones]
    if own:
        yield f"it has {'tenants' if len(own) > 1 else 'a tenant'} more: {' and '.join(own)}"
    if record.plan.issuers:
        yield "it has no issuers: every tenant calls with a key"


def _problems(
    lost: int,
    moves: Sequence[MoveReport],
    failures: Sequence[FailureReport],
    broken: Sequence[BrokenReport],
    limit: LimitReport | None,
) -> Iterator[str]:
    if lost:
        yield f"{lost} request{'s were' if lost > 1 else ' was'} lost"
    for title in dict.fromkeys(move.title for move in moves if move.in_force is None):
        yield f"{title}: the edit never came into force"
    for failure in failures:
        if failure.back is None:
            yield f"{failure.title}: not back in its place"
    for file in broken:
        if file.told is None:
            yield f"{file.title}: nothing was said of it"
        if not file.unchanged:
            yield f"{file.title}: the plan in force has changed"
    if limit and not limit.refused:
        yield f"tenant {limit.tenant} was not refused after {limit.answered} requests"
    if limit and limit.with_retry_after < limit.refused:
        yield f"{limit.refused - limit.with_retry_after} refusals of tenant {limit.tenant} had no Retry-After"
