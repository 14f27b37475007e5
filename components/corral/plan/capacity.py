"""Whether the hosts carry the busiest minute that a stack declares: all of them, without each one, and without each
region.

Policy.  Traffic goes as the data path sends it.  It is drawn among the sharing hosts that are up, by their weights;
what a full host refuses goes to the other sharing hosts by theirs, and what all of them refuse to the fallbacks in
order, so that nothing is lost while any host of the model has room.  The local engine counts, and passes a full host
over, whatever it is.  On the kubernetes engine vLLM refuses nothing: what is too much waits in its queue.  There the
sharing hosts count whole from 71 % of them up; below that the first fallback gets a part (`gateway.manifests.routes`),
a host counted as one address.

The hosts fill up during the minute, each model's peak at the same time and evenly spread.  A host takes of a model the
smallest part of its peak that any of its limits allows, of those whose number the peak has too; requests are alike.  A
limit on all models of a host is filled by all of them.  What a region loses with it are the hosts that are called there
or process there alone; the gateway stands.

What nobody has said is unknown.  Where a host's limit is, the peak is carried for certain if it is when that host takes
nothing, and is not if it is not when that host takes all.

Parts are exact fractions of whole numbers, rounded once, into amounts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

from corral.plan.memory import memoized
from corral.plan.money import nearest
from corral.plan.plan import Load, ModelPlan, Plan, Target

Engine = Literal["local", "kubernetes"]
Dimension = Literal["tokens", "requests", "concurrent"]
DIMENSIONS: tuple[Dimension, ...] = ("tokens", "requests", "concurrent")

Verdict = Literal["carries", "does not", "unknown"]

_WHOLE_FROM_PERCENT = 140
"""Envoy's overprovisioning factor: hosts of a priority that are up, times this, above 100 count as all of them."""


@dataclass(frozen=True)
class Carried:
    """One host of a model, in one case."""

    host: str
    load: Load
    """What comes to it, of the numbers that the peak has."""
    limit: Load
    """What it takes of this model; of all models together where nothing is said of one."""
    percent: int | None
    """Of the tightest limit, rounded up; None: no limit is known of which the peak has a number."""


@dataclass(frozen=True)
class Case:
    """One model's peak, with some hosts lost."""

    lost: str
    """The host or the region; empty: nothing is lost."""
    without: tuple[str, ...]
    """The hosts that are lost with it, those of the model."""
    hosts: tuple[Carried, ...]
    """Those that get any of it, in the order in which they are tried."""
    unserved: Load
    """What every host refuses, or has waiting."""
    verdict: Verdict
    unknown: tuple[str, ...]
    """The hosts that get a part of it and whose limits are unknown."""


@dataclass(frozen=True)
class Headroom:
    """One model's peak, in each case: first with nothing lost, then without each host, then without each region that
    more than one host is lost with."""

    model: str
    peak: Load
    offered: tuple[Carried, ...]
    """The share of the peak of each sharing host, before any refuses a part."""
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class UseMove:
    """How much of what a host takes the share of the peak there is; None: unknown, or it has no share."""

    host: str
    before: int | None
    after: int | None
    """Percent."""


@dataclass(frozen=True)
class CaseMove:
    """Whether the peak is carried in a case; None: it is none of the plan's."""

    lost: str
    before: Verdict | None
    after: Verdict | None


@dataclass(frozen=True)
class HeadroomMove:
    """What an edit changes of how a model's peak is carried."""

    model: str
    used: tuple[UseMove, ...]
    """The hosts of which another part is used, in order of name."""
    cases: tuple[CaseMove, ...]
    """Those with another verdict, as `Headroom.cases`."""


def headroom_moved(before: Plan | None, after: Plan | None) -> tuple[HeadroomMove, ...]:
    """Of each model that something changes for, in order of name; None: there was, or is, no such stack."""
    was, now = ({each.model: each for each in headroom(plan)} if plan else {} for plan in (before, after))
    moves = (_headroom_move(model, was.get(model), now.get(model)) for model in sorted(was.keys() | now.keys()))
    return tuple(each for each in moves if each.used or each.cases)


def _headroom_move(model: str, before: Headroom | None, after: Headroom | None) -> HeadroomMove:
    old, new = (_sides(each) for each in (before, after))
    uses = (UseMove(host, old[0].get(host), new[0].get(host)) for host in sorted(old[0].keys() | new[0].keys()))
    cases = (CaseMove(lost, old[1].get(lost), new[1].get(lost)) for lost in {**old[1], **new[1]})
    return HeadroomMove(
        model,
        tuple(each for each in uses if each.before != each.after),
        tuple(each for each in cases if each.before != each.after),
    )


def _sides(headroom: Headroom | None) -> tuple[dict[str, int | None], dict[str, Verdict]]:
    """The part of each host that is used, and the verdict of each case."""
    if headroom is None:
        return {}, {}
    return {each.host: each.percent for each in headroom.offered}, {each.lost: each.verdict for each in headroom.cases}


@memoized
def headroom(plan: Plan, of: str | None = None) -> tuple[Headroom, ...]:
    """Of each model whose peak the stack declares and that a host serves, in order of name; `of`: of that one alone."""
    wanted = ((model, group) for group in _groups(plan) for model in group if of in (None, model.name))
    return tuple(sorted((_headroom(model, group, plan) for model, group in wanted), key=lambda each: each.model))


def _groups(plan: Plan) -> Iterator[tuple[ModelPlan, ...]]:
    """Models with a peak that fill a limit together, or a model by itself."""
    rest = {model.name: model for model in plan.models if model.peak and model.live}
    sharers: defaultdict[str, set[str]] = defaultdict(set)
    for model in rest.values():
        for target in model.live:
            if target.host_limit != Load():
                sharers[target.host].add(model.name)
    while rest:
        group = {next(iter(rest))}
        while more := {name for names in sharers.values() if names & group for name in names} - group:
            group |= more
        yield tuple(rest.pop(name) for name in sorted(group))


def _headroom(model: ModelPlan, group: Sequence[ModelPlan], plan: Plan) -> Headroom:
    total = sum(target.weight for target in model.sharing)
    offered = {target.host: Fraction(target.weight, total) for target in model.sharing}
    return Headroom(
        model.name,
        model.peak or Load(),
        tuple(_carried(model, target, offered[target.host]) for target in model.sharing),
        tuple(_case(model, group, plan, lost, hosts) for lost, hosts in losses(group)),
    )


def losses(group: Sequence[ModelPlan]) -> Iterator[tuple[str, frozenset[str]]]:
    """What may be lost, with the hosts that are lost with it."""
    targets = {target.host: target for model in group for target in model.live}
    yield "", frozenset()
    for host in targets:
        yield host, frozenset((host,))
    regions: defaultdict[str, set[str]] = defaultdict(set)
    for target in targets.values():
        alone = target.reaches[0] if target.reaches and len(target.reaches) == 1 else None
        for region in {target.region, alone} - {None, "global"}:
            regions[str(region)].add(target.host)
    for region, hosts in sorted(regions.items()):
        if len(hosts) > 1:
            yield region, frozenset(hosts)


def _case(model: ModelPlan, group: Sequence[ModelPlan], plan: Plan, lost: str, hosts: frozenset[str]) -> Case:
    most = _flow(group, hosts, plan.engine, without_unknown=False)
    unserved = _unserved(model, group, most, plan.engine, without_unknown=False)
    targets = [target for target in model.live if most.get((model.name, target.host))]
    unknown = [
        target.host for target in targets if part_taken(model, target) is None and not limited_together(model, target)
    ]
    verdict: Verdict = "does not" if unserved else "carries"
    if not unserved and unknown:
        least = _flow(group, hosts, plan.engine, without_unknown=True)
        verdict = "unknown" if _unserved(model, group, least, plan.engine, without_unknown=True) else "carries"
    return Case(
        lost=lost,
        without=tuple(target.host for target in model.live if target.host in hosts),
        hosts=tuple(_carried(model, target, most[model.name, target.host]) for target in targets),
        unserved=_amount(model, unserved),
        verdict=verdict,
        unknown=tuple(unknown),
    )


_Flow = Mapping[tuple[str, str], Fraction]
"""By model and host the part of the model's peak that comes to the host."""


def _flow(group: Sequence[ModelPlan], lost: frozenset[str], engine: Engine, *, without_unknown: bool) -> _Flow:
    """What comes to each host in the minute, followed from one host that is full to the next."""
    came: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    capacity: dict[tuple[str, str], Fraction] = {}
    used: dict[tuple[str, Dimension], Fraction] = {}
    limits: dict[tuple[str, Dimension], int] = {}
    for model in group:
        for target in model.live:
            own, shared = part_taken(model, target), limited_together(model, target)
            if not refuses(target, engine):
                continue
            if own is not None or (without_unknown and not shared):
                capacity[model.name, target.host] = own or Fraction()
            for dimension in shared:
                limits[target.host, dimension] = getattr(target.host_limit, dimension)
                used[target.host, dimension] = Fraction()
    full = {where for where, left in capacity.items() if left == 0}
    left = Fraction(1)
    while left > 0:
        rates = {
            (model.name, target.host): (rate, target, model)
            for model in group
            for target, rate in _split(model, lost, full, engine)
        }
        filling: defaultdict[tuple[str, Dimension], Fraction] = defaultdict(Fraction)
        for (_, host), (rate, target, model) in rates.items():
            for dimension in limited_together(model, target):
                if (host, dimension) in limits:
                    filling[host, dimension] += rate * getattr(model.peak, dimension)
        until_full = [
            *((capacity[where] - came[where]) / rate for where, (rate, _, _) in rates.items() if where in capacity),
            *((limits[where] - used[where]) / rate for where, rate in filling.items()),
        ]
        step = min([left, *until_full])
        for where, (rate, _, _) in rates.items():
            came[where] += rate * step
        for where, rate in filling.items():
            used[where] += rate * step
        full |= {where for where in rates if where in capacity and came[where] == capacity[where]}
        exhausted = {host for (host, dimension) in filling if used[host, dimension] == limits[host, dimension]}
        full |= {(name, host) for name, host in rates if host in exhausted}
        left -= step
        if not rates:
            break
    return came


def _split(
    model: ModelPlan, lost: frozenset[str], full: Iterable[tuple[str, str]], engine: str
) -> list[tuple[Target, Fraction]]:
    """Where the model's traffic goes now, in parts of all of it; empty: nowhere."""
    up = [target for target in model.live if target.host not in lost]
    accepting = [target for target in up if (model.name, target.host) not in full]
    sharing, fallbacks = ([t for t in accepting if (t.priority == 0) is first] for first in (True, False))
    if not sharing or not fallbacks:
        return _by_weight(sharing, 1) if sharing else [(target, Fraction(1)) for target in fallbacks[:1]]
    to_fallback = Fraction(0)
    next_up = next(target for target in up if target.priority > 0)
    if engine == "kubernetes" and next_up is fallbacks[0]:
        percent = _WHOLE_FROM_PERCENT * sum(target.priority == 0 for target in up) // len(model.sharing)
        to_fallback = Fraction(100 - min(100, percent), 100)
    spilled = [(next_up, to_fallback)] if to_fallback else []
    return [*_by_weight(sharing, 1 - to_fallback), *spilled]


def _by_weight(targets: Sequence[Target], part: Fraction | int) -> list[tuple[Target, Fraction]]:
    total = sum(target.weight for target in targets)
    return [(target, Fraction(target.weight, total) * part) for target in targets]


def refuses(target: Target, engine: Engine) -> bool:
    """Whether a request goes on that a host has no room for.  A full vLLM has it wait; the local engine counts, and
    passes a full host over."""
    return engine == "local" or target.kind != "vllm"


def _compared(amounts: Load, peak: Load | None) -> list[Dimension]:
    """The numbers that both have."""
    return [each for each in DIMENSIONS if getattr(amounts, each) and peak and getattr(peak, each)]


def part_taken(model: ModelPlan, target: Target) -> Fraction | None:
    """The part of the model's peak that the host takes; None: unknown."""
    return part_of(target.limit, model.peak)


def part_of(limit: Load, peak: Load | None) -> Fraction | None:
    """The part of a peak that a limit lets through; None: they have no number in common."""
    parts = (Fraction(getattr(limit, each), getattr(peak, each)) for each in _compared(limit, peak))
    return min(parts, default=None)


def limited_together(model: ModelPlan, target: Target) -> list[Dimension]:
    return _compared(target.host_limit, model.peak)


def _unserved(
    model: ModelPlan, group: Sequence[ModelPlan], flow: _Flow, engine: Engine, *, without_unknown: bool
) -> Fraction:
    """What no host got, and what is too much for one that refuses nothing."""
    served = Fraction(0)
    for target in model.live:
        came, capacity = flow.get((model.name, target.host), Fraction(0)), part_taken(model, target)
        if refuses(target, engine):
            served += came
            continue
        if capacity is None and without_unknown and not limited_together(model, target):
            continue
        for dimension in limited_together(model, target):
            offered = sum(
                flow.get((other.name, target.host), 0) * getattr(other.peak, dimension)
                for other in group
                if getattr(other.peak, dimension)
            )
            came *= min(Fraction(1), getattr(target.host_limit, dimension) / offered) if offered else 1
        served += came if capacity is None else min(came, capacity)
    return 1 - served


def _amount(model: ModelPlan, part: Fraction) -> Load:
    """The part of the peak in its own numbers."""
    peak = model.peak or Load()
    numbers = {each: getattr(peak, each) for each in DIMENSIONS}
    return Load(**{each: n and nearest(n * part.numerator, part.denominator) for each, n in numbers.items()})


def _carried(model: ModelPlan, target: Target, part: Fraction) -> Carried:
    limit = Load(**{each: getattr(target.limit, each) or getattr(target.host_limit, each) for each in DIMENSIONS})
    capacity = part_of(limit, model.peak)
    return Carried(target.host, _amount(model, part), limit, None if capacity is None else ceil(100 * part / capacity))


def needed(case: Case, host: str) -> Load:
    """What a host would have to take for the case to be carried, all that is unserved given to it.

    What comes to one that is over its limit already has in it what waits there.
    """
    came, percent = next(((each.load, each.percent) for each in case.hosts if each.host == host), (Load(), None))
    if percent and percent > 100:
        return came
    sums = {each: (getattr(came, each) or 0) + (getattr(case.unserved, each) or 0) for each in DIMENSIONS}
    return Load(**{each: total or None for each, total in sums.items()})
