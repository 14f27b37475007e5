"""Ramps: the stairs between two sets of shares, and what is done next at one of them.

Policy.  Points of the traffic move one by one from the hosts whose share falls to those whose share rises, each pair
of hosts in proportion to what it has to move; a stair is every `step` of these points.  So a share never moves past its
end nor back, the sum is always 100, and the way down is the way up.  Nothing but the stack says where a ramp stands: it
is at the stair that its shares are.

What is observed is what happened since the shares are in force.  The guard is about the hosts whose shares rise.  One
that is ejected, or has failed more than may fail of the attempts at it (of `least`, while there were fewer), takes the
ramp one stair back at once, and pauses it: after `every` it goes further back if that has not helped, and on only when
a person takes the pause out.  It goes on after `every`, with enough requests at each of these hosts (of the model,
while they have no share), and with every number that the guard is about.  Requests that no host answered hold it where
it is: that is no fault of the hosts whose shares rise, for which their failed attempts speak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from corral.config.problems import flow, number, span

if TYPE_CHECKING:
    from corral.plan.plan import ModelPlan, Plan

Shares = dict[str, int]

_WHOLE = 10_000
"""Hundredths of a percent."""


@dataclass(frozen=True)
class Ramp:
    """A model's ramp."""

    stairs: tuple[Shares, ...]
    """The shares of every host, from the first to the last."""
    begun: bool
    """Whether the stack says where it began."""
    every: int
    """Milliseconds."""
    least: int
    """Requests."""
    errors: int
    """Hundredths of a percent."""
    first_byte_p95: int | None
    """Milliseconds; None: any."""
    cost_per_million: int | None
    """Hundredths of a percent above that at the first stair; None: any."""
    paused: str | None
    """Why; None: it is not."""


@dataclass(frozen=True)
class ObservedHost:
    """What a host did for one model."""

    attempts: int
    failed_attempts: int
    ejected: bool
    first_byte_p95: int | None
    """Milliseconds; None: unknown."""
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Observed:
    """What happened to one model since its shares are in force."""

    requests: int
    lost: int
    """Those that ended in a 5xx, or in no answer or half of one."""
    hosts: Mapping[str, ObservedHost]
    """A host that is not here is unknown."""


@dataclass(frozen=True)
class Decision:
    """What a ramp does now."""

    verdict: Literal["on", "back", "hold", "reached", "stopped"]
    """`hold`: it waits; `stopped`: waiting changes nothing."""
    why: str
    """A clause; empty: nothing speaks against the next stair."""
    shares: Shares | None = None
    """Those that are to be in force, where it moves."""


def stairs(start: Shares, to: Mapping[str, int], step: int) -> tuple[Shares, ...]:
    """The shares from `start` until the hosts of `to` have theirs; those of the others keep their proportion."""
    end = _end(start, to)
    falling = _points({host: start[host] - end[host] for host in start})
    rising = _points({host: end[host] - start[host] for host in start})
    moves = list(zip(falling, rising, strict=True))
    flight = [start]
    for at in range(0, len(moves), step):
        shares = dict(flight[-1])
        for giver, taker in moves[at : at + step]:
            shares[giver] -= 1
            shares[taker] += 1
        flight.append(shares)
    return tuple(flight)


def _end(start: Shares, to: Mapping[str, int]) -> Shares:
    """Whole percents, the remainders to the hosts that rounding down takes most from."""
    left = 100 - sum(to.values())
    others = {host: share for host, share in start.items() if host not in to}
    total = sum(others.values())
    exact = {host: Fraction(left * share, total or 1) for host, share in others.items()}
    whole = {host: int(part) for host, part in exact.items()}
    by_remainder = sorted(exact, key=lambda host: (whole[host] - exact[host], host))
    for host in by_remainder[: left - sum(whole.values())]:
        whole[host] += 1
    return {host: to.get(host, whole.get(host, 0)) for host in start}


def _points(differences: Mapping[str, int]) -> list[str]:
    """A host for each point that it has to move, evenly spread over all."""
    dues = (
        (Fraction(2 * at - 1, 2 * count), host) for host, count in differences.items() for at in range(1, count + 1)
    )
    return [host for _, host in sorted(dues)]


def with_shares(plan: Plan, shares: Mapping[str, Mapping[str, int]]) -> Plan:
    """The plan with these shares, by model, of hosts that share it already."""
    return replace(
        plan, models=tuple(_at(model, shares[model.name]) if model.name in shares else model for model in plan.models)
    )


def _at(model: ModelPlan, shares: Mapping[str, int]) -> ModelPlan:
    return replace(
        model,
        targets=tuple(
            replace(target, share=shares[target.host], weight=shares[target.host]) if target.priority == 0 else target
            for target in model.targets
        ),
    )


def next_step(model: ModelPlan, observed: Observed, in_force: int) -> Decision:
    """What the ramp of the model does; its shares are in force since so many milliseconds."""
    ramp = model.ramp
    if ramp is None or model.shares not in ramp.stairs:
        shares = flow({**model.shares})
        return Decision("stopped", f"{shares} is no stair of the ramp: take its `from` out, and it begins there")
    at, last = ramp.stairs.index(model.shares), len(ramp.stairs) - 1
    rising = [host for host, share in ramp.stairs[0].items() if ramp.stairs[last][host] > share]
    judged = [host for host in rising if model.shares[host]]
    if bad := next(_violations(model, ramp, judged, observed), None):
        waits = at == 0 or (ramp.paused and in_force < ramp.every)
        return Decision("hold", bad) if waits else Decision("back", bad, ramp.stairs[at - 1])
    if in_force < ramp.every:
        return Decision("hold", f"for {span(ramp.every)} at each stair")
    if missing := next(_missing(model, ramp, judged, observed), None):
        return Decision("hold", missing)
    if at == last:
        return Decision("reached", "the ramp is at its end")
    if ramp.paused:
        return Decision("stopped", f"it is paused: {ramp.paused}")
    return Decision("on", "", ramp.stairs[at + 1])


def _violations(model: ModelPlan, ramp: Ramp, judged: list[str], observed: Observed) -> Iterator[str]:
    """What the guard is broken by, for certain."""
    for host in judged:
        of = observed.hosts.get(host)
        if of is None:
            continue
        if of.ejected:
            yield f"{host} is ejected for failing"
        if of.failed_attempts * _WHOLE > ramp.errors * max(of.attempts, ramp.least):
            yield (
                f"{number(of.failed_attempts)} of {number(of.attempts)} attempts at {host} failed, "
                f"more than {percent(ramp.errors)}"
            )
        late = ramp.first_byte_p95
        if late and of.attempts >= ramp.least and (of.first_byte_p95 or 0) > late:
            yield f"5 of 100 answers of {host} took {span(of.first_byte_p95 or 0)} or longer to begin, not {span(late)}"
    if ramp.cost_per_million is not None and observed.requests >= ramp.least and (cost := _cost(model, ramp, observed)):
        now, first = cost
        if now * _WHOLE > first * (_WHOLE + ramp.cost_per_million):
            more = -(-_WHOLE * (now - first) // first) if first else _WHOLE
            yield f"a token costs {percent(more)} more than at the first stair, not {percent(ramp.cost_per_million)}"


def _missing(model: ModelPlan, ramp: Ramp, judged: list[str], observed: Observed) -> Iterator[str]:
    """What has to be known, or to be well, before it goes on."""
    if observed.requests < ramp.least:
        yield f"{number(observed.requests)} of {number(ramp.least)} requests so far"
    for host in judged:
        of = observed.hosts.get(host)
        if of is None:
            yield f"what {host} does is unknown: the metrics do not tell it from another host"
        elif of.attempts < ramp.least:
            yield f"{number(of.attempts)} of {number(ramp.least)} requests at {host} so far"
        elif ramp.first_byte_p95 and of.first_byte_p95 is None:
            yield f"when the answers of {host} began is unknown"
    if ramp.cost_per_million is not None and _cost(model, ramp, observed) is None:
        yield "what the tokens cost is unknown"
    if observed.lost * _WHOLE > ramp.errors * observed.requests:
        yield f"{number(observed.lost)} of {number(observed.requests)} requests were lost"


def _cost(model: ModelPlan, ramp: Ramp, observed: Observed) -> tuple[int, int] | None:
    """What the tokens cost, and what as many would at the first stair, by one unit; None: unknown."""
    prices = {target.host: target.price for target in model.targets}
    counted = {host: of for host, of in observed.hosts.items() if of.input_tokens or of.output_tokens}
    tokens = [sum(of.input_tokens for of in counted.values()), sum(of.output_tokens for of in counted.values())]
    now = first = 0
    for host in {*counted, *(host for host, share in ramp.stairs[0].items() if share)}:
        price = prices.get(host)
        if price is None:
            return None
        if of := counted.get(host):
            now += 100 * (of.input_tokens * price.input + of.output_tokens * price.output)
        first += ramp.stairs[0].get(host, 0) * (tokens[0] * price.input + tokens[1] * price.output)
    return (now, first) if counted else None


def percent(hundredths: int) -> str:
    """`1%`, `0.5%`."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}{f'.{rest:02}'.rstrip('0') if rest else ''}%"
