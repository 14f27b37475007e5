"""The report of a drill: the figures of its record.  Pure; milliseconds and percent unless a name says otherwise.

When a move became effective is seen at the hosts.  A host whose share was 0 before, or is 0 after, shows it outright:
its first request, or its last.  Otherwise it is estimated: the place in the order of arrivals that makes them
likeliest, the old shares before it and the new ones after, and all places that are nearly as likely (within 2 units
of log likelihood, which is a confidence of some 95 %).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from corral.local.drill.record import Arrival, Exhausted, Failed, Moved, Record, Refused, Request
from corral.local.drill.script import Break, Exhaust, Fail, Move, Shares, Skipped, Watch, declared

_SETTLING_SECONDS = 0.1
"""After an edit came into force, until its shares are counted."""

CONFIDENCE = 0.999
"""That of the bounds of an observed share: a drill has dozens of them, and one that is outside is to mean something."""

_STRAY = 1e-4
"""The probability of a request at a host without a share: a second attempt can always happen."""

_NEARLY = 2.0
"""Units of log likelihood."""


@dataclass(frozen=True)
class StepReport:
    title: str
    began: float | None
    """Seconds since the start; None: it was skipped, or not reached."""
    ended: float | None
    skipped: str | None
    """Why it was skipped."""


@dataclass(frozen=True)
class Effective:
    """When requests began to follow an edit; seconds since it was saved."""

    after: float
    """The first request according to the new shares."""
    earliest: float
    latest: float
    last_of_old: float | None
    """The last request at a host that has no share any more; None: there is no such host."""


@dataclass(frozen=True)
class MoveReport:
    title: str
    model: str
    before: Shares
    after: Shares
    in_force: float | None
    """When the engine said so, from the save; None: never."""
    effective: Effective | None
    """At the hosts, in seconds; None: their requests do not show it."""


@dataclass(frozen=True)
class ShareReport:
    """A host's share as declared and as its requests show it, while something went on; percent."""

    title: str
    model: str
    host: str
    declared: int
    requests: int
    observed: float
    low: float
    """The bounds within which the true share lies, at the CONFIDENCE."""
    high: float
    error: float
    """Observed less declared."""
    holds: bool
    """Whether the declared share is within the bounds."""


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
    ejected: float | None
    """Until every model left the hosts out; None: at least one did not."""
    back: float | None
    """From the end of the failure until every host had its place again; None: that was not seen."""


@dataclass(frozen=True)
class LimitReport:
    tenant: str
    limit: str
    allowed: int
    """A minute."""
    answered: int
    refused: int
    with_retry_after: int
    otherwise: Mapping[str, int]
    others: int
    """Requests of the steady load meanwhile."""
    others_lost: int


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
    """The reasons of losses."""
    cut_short: int
    """Requests that the end of the drill met."""
    steps: tuple[StepReport, ...]
    moves: tuple[MoveReport, ...]
    shares: tuple[ShareReport, ...]
    failures: tuple[FailureReport, ...]
    broken: tuple[Refused, ...]
    limit: LimitReport | None
    differences: tuple[str, ...]
    """The differences of the copy from the stack."""
    problems: tuple[str, ...]
    """Results that must not be; empty: the drill has succeeded."""
    notices: tuple[tuple[float, str], ...]
    """The engine's messages to the person at the terminal, and when: seconds since the start."""


def report(record: Record, started: str) -> Report:
    """The figures of a record, at the end or before."""
    outcomes = Counter(request.outcome for request in record.requests)
    moves, failures = tuple(_moves(record)), tuple(_failures(record))
    broken = tuple(span.result for span in record.spans if isinstance(span.result, Refused))
    limit = next(_limits(record), None)
    return Report(
        stack=record.plan.stack,
        started=started,
        seconds=record.seconds,
        ended_early=len(record.spans) < len(record.steps),
        requests=outcomes["answered"] + outcomes["lost"],
        streamed=sum(request.streamed for request in record.requests if request.outcome != "cut short"),
        lost=outcomes["lost"],
        reasons=dict(record.reasons()),
        cut_short=outcomes["cut short"],
        steps=tuple(_steps(record)),
        moves=moves,
        shares=tuple(_shares(record)),
        failures=failures,
        broken=broken,
        limit=limit,
        differences=tuple(_differences(record)),
        problems=tuple(_problems(outcomes["lost"], moves, failures, broken, limit)),
        notices=tuple(record.notices),
    )


def _steps(record: Record) -> Iterator[StepReport]:
    spans = iter(record.spans)
    for step in record.script:
        if isinstance(step, Skipped):
            yield StepReport(step.title, None, None, step.why)
        else:
            span = next(spans, None)
            yield StepReport(step.title, span and span.began, span and span.ended, None)


def _moves(record: Record) -> Iterator[MoveReport]:
    present = declared(record.plan)
    for span in record.spans:
        if not isinstance(span.step, Move) or not isinstance(span.result, Moved):
            continue
        saved, in_force = span.result.saved, span.result.in_force
        for model, after in span.step.shares.items():
            before, present[model] = present[model], dict(after)
            arrivals = [arrival for arrival in _arrivals(record, model) if arrival.at < span.ended]
            yield MoveReport(
                title=span.step.title,
                model=model,
                before=before,
                after=after,
                in_force=None if in_force is None else 1000 * (in_force - saved),
                effective=effective(arrivals, saved, before, after),
            )


def _arrivals(record: Record, model: str) -> list[Arrival]:
    """Those that a host answered, in order of time."""
    answered = (arrival for arrival in record.arrivals if arrival.model == model and arrival.status == 200)
    return sorted(answered, key=lambda arrival: arrival.at)


def effective(arrivals: Sequence[Arrival], saved: float, before: Shares, after: Shares) -> Effective | None:
    """From one model's arrivals around a save, in order of time; None where they do not show that it took effect.

    Arrivals before the save count as such: the change cannot have come before.
    """
    if _sharing(before) == _sharing(after):
        return None
    arrivals = [arrival for arrival in arrivals if arrival.at >= saved]
    scores = [0.0]
    """Per place the log likelihood that the arrivals from there on follow the new shares, those before it the old."""
    for arrival in arrivals:
        scores.append(scores[-1] + math.log(_chance(before, arrival.host) / _chance(after, arrival.host)))
    best = max(scores)
    place = scores.index(best)
    if place == len(arrivals):
        return None
    likely = [place for place, score in enumerate(scores) if score >= best - _NEARLY]
    gone = [arrival.at - saved for arrival in arrivals if before.get(arrival.host) and not after.get(arrival.host)]
    drained = any(share and not after.get(host) for host, share in before.items())
    return Effective(
        after=arrivals[place].at - saved,
        earliest=arrivals[likely[0]].at - saved,
        latest=arrivals[min(likely[-1], len(arrivals) - 1)].at - saved,
        last_of_old=max(gone, default=0.0) if drained else None,
    )


def _sharing(shares: Shares) -> dict[str, int]:
    return {host: share for host, share in shares.items() if share}


def _chance(shares: Shares, host: str) -> float:
    return max(shares.get(host, 0) / 100, _STRAY)


def _shares(record: Record) -> Iterator[ShareReport]:
    present = declared(record.plan)
    for span in record.spans:
        match span.step, span.result:
            case Watch(), _:
                yield from _observed(record, span.step.title, span.began, span.ended, present)
            case Move(shares=moved), Moved(in_force=float(in_force)):
                present |= {model: dict(after) for model, after in moved.items()}
                yield from _observed(record, span.step.title, in_force + _SETTLING_SECONDS, span.ended, present)
            case _:
                pass
    refused = [(span.began, span.ended) for span in record.spans if isinstance(span.step, Break)]
    if refused:
        yield from _observed(record, "files that are refused", refused[0][0], refused[-1][1], present)


def _observed(
    record: Record, title: str, begin: float, end: float, present: Mapping[str, Shares]
) -> Iterator[ShareReport]:
    for model, of_model in present.items():
        if len(of_model) > 1:
            counts = Counter(arrival.host for arrival in _arrivals(record, model) if begin <= arrival.at < end)
            yield from shares(title, model, counts, of_model)


def shares(title: str, model: str, counts: Mapping[str, int], declared: Shares) -> Iterator[ShareReport]:
    """The shares of the hosts of a declaration; counts of other hosts count for the total."""
    total = sum(counts.values())
    for host, share in declared.items() if total else ():
        requests = counts.get(host, 0)
        ratio = requests / total
        low, high = _bounds(ratio, total)
        yield ShareReport(
            title=title,
            model=model,
            host=host,
            declared=share,
            requests=requests,
            observed=100 * ratio,
            low=low,
            high=high,
            error=100 * ratio - share,
            holds=low <= share <= high,
        )


def _bounds(ratio: float, total: int) -> tuple[float, float]:
    """Wilson's interval, in percent."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    scale = 1 + z * z / total
    middle = (ratio + z * z / (2 * total)) / scale
    reach = z / scale * math.sqrt(ratio * (1 - ratio) / total + z * z / (4 * total * total))
    return 100 * min(ratio, max(0.0, middle - reach)), 100 * max(ratio, min(1.0, middle + reach))


def _waits(requests: Sequence[Request]) -> dict[Request, float]:
    """Seconds that clients waited until their answer began: of streamed answers, unless none is streamed."""
    streamed = any(request.streamed for request in requests)
    return {
        request: request.began - request.sent
        for request in requests
        if request.outcome == "answered" and request.streamed == streamed
    }


def _failures(record: Record) -> Iterator[FailureReport]:
    waits = _waits(record.requests)
    quiet = [(span.began, span.ended) for span in record.spans if isinstance(span.step, Watch)]
    usual = [wait for request, wait in waits.items() if any(begin <= request.sent < end for begin, end in quiet)]
    for span in record.spans:
        if isinstance(span.step, Fail) and isinstance(span.result, Failed):
            yield _failure(record, span.step, span.result, waits, 1000 * median(usual) if usual else None)


def _failure(
    record: Record, step: Fail, result: Failed, waits: Mapping[Request, float], usual: float | None
) -> FailureReport:
    slow = step.how == "slow-first-byte"
    met = [
        request
        for request in record.requests
        if result.begun <= request.sent < result.healed
        and request.outcome == "answered"
        and (request.host in step.hosts if slow else (request.attempts or 1) > 1)
    ]
    sharing = ((model.name, target.host) for model in record.plan.models for target in model.sharing)
    places = [place for place in sharing if place[1] in step.hosts]
    left = [result.ejected[place] - result.begun for place in places if place in result.ejected]
    return FailureReport(
        title=step.title,
        met=len(met),
        first_answer=1000 * min(request.began - result.begun for request in met) if met and not slow else None,
        usual=usual,
        slowest=max((1000 * waits[request] for request in met if request in waits), default=None),
        ejected=1000 * max(left) if len(left) == len(places) else None,
        back=1000 * (result.whole - result.healed) if result.whole is not None else None,
    )


def _limits(record: Record) -> Iterator[LimitReport]:
    for span in record.spans:
        if isinstance(span.step, Exhaust) and isinstance(span.result, Exhausted):
            result = span.result
            others = [request for request in record.requests if span.began <= request.sent < span.ended]
            yield LimitReport(
                tenant=span.step.tenant,
                limit=span.step.limit,
                allowed=span.step.allowed,
                answered=result.answered,
                refused=result.refused,
                with_retry_after=result.with_retry_after,
                otherwise=result.otherwise,
                others=len(others),
                others_lost=sum(request.outcome == "lost" for request in others),
            )


_TIMES = {"connect_timeout": "connectTimeout", "idle_timeout": "idleTimeout", "ejection_time": "ejectionTime"}


def _differences(record: Record) -> Iterator[str]:
    before, after = record.plan.request_settings, record.rehearsed.request_settings
    for name, key in _TIMES.items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{key} is {new / 1000:g} s instead of {old / 1000:g} s"
    present = {tenant.name for tenant in record.plan.tenants}
    if own := [tenant.name for tenant in record.rehearsed.tenants if tenant.name not in present]:
        yield f"it has {'tenants' if len(own) > 1 else 'a tenant'} more: {' and '.join(own)}"
    if record.plan.issuers:
        yield "it has no issuers: every tenant calls with a key"


def _problems(
    lost: int,
    moves: Sequence[MoveReport],
    failures: Sequence[FailureReport],
    broken: Sequence[Refused],
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
        if file.message is None:
            yield f"{file.title}: nothing was said of it"
        if not file.unchanged:
            yield f"{file.title}: the plan in force has changed"
    if limit and not limit.refused:
        yield f"tenant {limit.tenant} was not refused after {limit.answered} requests"
    if limit and limit.with_retry_after < limit.refused:
        yield f"{limit.refused - limit.with_retry_after} refusals of tenant {limit.tenant} had no Retry-After"
