"""The shares that cost least: a linear programme over the shares of all models, and what its answer says.

Policy.  A model takes part that declares its `peak` and is on no ramp; a host, that has a place among its shares (0 is
one).  What is least is the price of a month's `volume`, prompt and answer half and half; a model without one counts as
a million tokens.  Tokens on GPU nodes of the stack cost nothing more, and the nodes are not counted: they cost what
they cost.  A share is at most what its host takes of the peak, and over all models what it takes together; at least
what `leastShares` says.  A vLLM refuses nothing: it is to hold what comes to it with everything up, and with each host
and each region lost whose loss the stack has not accepted.  Any other host passes on what it does not take.  A host
whose limit is unknown gets no more than it has, one whose price is unknown keeps what it has, and one at 0 stays there
where the plan would refuse it, or warn that it offers less.  Where the stack breaks a bound today the bound is what it
has: no share gets worse.

What comes to a vLLM grows as others are full.  It holds that if, for every set of these, its share of what they do not
take is within its limit: each set is a linear bound.  There are too many to write down, so the programme begins with
none of them, and gets that which its answer breaks most, until it breaks none.

Shares are whole: the answer is rounded down, and what is left goes to the cheapest host with room.  The plan with the
new shares is checked like any other.  A host at 0 carries nothing when others are lost: in the models of an error each
host that has a share keeps one point, and all is solved again; those of another error keep their shares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from math import floor
from typing import Literal

from corral.plan.capacity import DIMENSIONS, Dimension, limited_together, losses, part_of, part_taken, refuses
from corral.plan.checks.findings import Finding
from corral.plan.checks.run import check
from corral.plan.plan import Load, ModelPlan, Plan, Target
from corral.plan.ramps import Shares, with_shares

_MILLION = 10**6
_SLACK = 1e-6
"""Of a share: a solver's answer is not exact."""
_ATTEMPTS = 4
"""To round a model's shares."""
_TOLERANCE = 1e-4
"""Of a sum of shares."""
_LEAST_SAVING = 10_000
"""Micro-dollars a month for which a bound is worth a word."""

Kind = Literal["limit", "shared limit", "unknown limit", "lost", "least share", "refused"]


@dataclass(frozen=True)
class Bound:
    """What holds shares where they are."""

    kind: Kind
    host: str
    model: str
    """The first, of a limit over several."""
    lost: str = ""
    """The host or region without which it holds."""
    why: str = ""
    """Of what is refused."""
    step: Load = field(default_factory=Load)
    """What it would be relaxed by: a hundredth of the peak, or of the shared limit; nothing: by one point."""


@dataclass(frozen=True)
class Variable:
    """The share of one host in one model, in points."""

    model: str
    host: str
    cost: float
    """Micro-dollars a month for each point."""
    current: int
    lower: float
    upper: float
    at_lower: Bound | None = None
    at_upper: Bound | None = None


@dataclass(frozen=True)
class Row:
    """A sum of shares, each times its part, that is at most so much."""

    parts: Mapping[int, float]
    """By place of the variable; none is negative."""
    most: float
    bound: Bound
    relaxed: Callable[[Sequence[float]], float]
    """How much more it may be for one step of the bound, at these shares."""


@dataclass(frozen=True)
class Holding:
    """A vLLM, which has to hold what comes to it."""

    model: str
    host: str
    place: int
    """Of its variable."""
    most: float
    """The part of the peak that it holds."""
    step: Load
    others: Mapping[int, float | None]
    """The part that each other sharing host takes, by place; None: all that comes, as another vLLM does, or unknown."""
    cases: Sequence[tuple[str, tuple[int, ...]]]
    """What may be lost, with the places that are lost with it; first nothing."""


@dataclass(frozen=True)
class Programme:
    """The variables, which sum up to 100 within each model, and what they are held by."""

    variables: tuple[Variable, ...]
    models: Mapping[str, range]
    """The places of each model's variables."""
    rows: tuple[Row, ...]
    holding: tuple[Holding, ...] = ()
    """Their bounds are too many to be among the rows from the beginning."""


@dataclass(frozen=True)
class Optimum:
    """The answer of a solver: the shares, and by how much the cost grows with each bound."""

    shares: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]
    rows: Sequence[float]


Solve = Callable[[Programme], Optimum | None]
"""None: no shares are within all bounds."""


@dataclass(frozen=True)
class Binding:
    """A bound that costs money."""

    bound: Bound
    saving: int
    """Micro-dollars a month for one step."""


@dataclass(frozen=True)
class Advice:
    """What would cost least."""

    shares: Mapping[str, Shares]
    """Of the models that would cost less with others."""
    bindings: tuple[Binding, ...]
    """The dearest first."""
    over: int
    """Micro-dollars a month by which whole percents cost more than the least there is."""
    least: int
    """Micro-dollars a month of the programme's answer."""
    kept: Mapping[str, str]
    """Models that are not moved, with why."""
    new: tuple[Finding, ...] = field(default=())
    """Warnings that the plan would have and has not now."""


def advise(plan: Plan, solve: Solve, today: date) -> Advice | None:
    """The advice for a plan without errors; None: no shares are within all bounds."""
    kept = {model.name: why for model in plan.models if (why := _apart(model))}
    barred = {(model.name, host): why for model in plan.models for host, why in _refused(plan, model, today)}
    before, standing = check(plan, today), set[str]()
    while True:
        models = [model for model in plan.models if model.name not in kept]
        programme, optimum = optimal(programme_of(models, barred, plan.accept, standing), solve)
        if optimum is None:
            return None
        shares = rounded(programme, optimum)
        after = check(with_shares(plan, shares), today)
        errors = {name: str(each) for each in after if each.level == "error" for name in _of(each, shares)}
        if not errors:
            break
        kept |= {name: f"the plan would be refused: {why}" for name, why in errors.items() if name in standing}
        standing |= errors.keys()
    least = sum(each.cost * share for each, share in zip(programme.variables, optimum.shares, strict=True))
    cost = sum(each.cost * shares.get(each.model, {}).get(each.host, each.current) for each in programme.variables)
    former = {finding.name for finding in before}
    return Advice(
        shares=shares,
        bindings=tuple(_bindings(programme, optimum)),
        over=max(0, round(cost - least)),
        least=round(least),
        kept=kept,
        new=tuple(each for each in after if each.name not in former and each.level == "warning"),
    )


def optimal(programme: Programme, solve: Solve) -> tuple[Programme, Optimum | None]:
    """The answer, with the rows that it took; None: no shares are within all bounds."""
    optimum = solve(programme)
    while optimum and (more := [row for each in programme.holding for row in _broken(programme, each, optimum.shares)]):
        programme = replace(programme, rows=(*programme.rows, *more))
        optimum = solve(programme)
    return programme, optimum


def _of(finding: Finding, moved: Mapping[str, Shares]) -> list[str]:
    """The moved models that a finding is about; all of them where it names none."""
    named = [name for name in moved if f"/{name}/" in f"{finding.name}/"]
    return named or [*moved]


def _apart(model: ModelPlan) -> str:
    """Why a model takes no part; empty: it does."""
    if model.peak is None:
        return f"it has no peak: give corral:models.{model.name}.peak"
    if model.ramp:
        return "it is on a ramp"
    return "one host has all of it" if len(model.shares) < 2 else ""


def _refused(plan: Plan, model: ModelPlan, today: date) -> Iterator[tuple[str, str]]:
    """The hosts at 0 that are to stay there, with what would be found."""
    if _apart(model):
        return
    alone = replace(plan, models=(model,))
    standing = {finding.name for finding in check(alone, today)} if 0 in model.shares.values() else set[str]()
    largest = max(model.shares, key=lambda host: model.shares[host])
    for host in [host for host, share in model.shares.items() if share == 0]:
        shares = {**model.shares, largest: model.shares[largest] - 1, host: 1}
        for finding in check(with_shares(alone, {model.name: shares}), today):
            is_less = finding.name == f"parity/{model.name}/{host}" and not finding.accepted
            if finding.name not in standing and (finding.level == "error" or is_less):
                yield host, finding.message
                break


def programme_of(
    models: Sequence[ModelPlan],
    barred: Mapping[tuple[str, str], str] | None = None,
    accepted: Sequence[str] = (),
    standing: Collection[str] = (),
) -> Programme:
    """The programme of these models; in those that are `standing` no host that has a share loses all of it."""
    variables: list[Variable] = []
    places: dict[str, range] = {}
    holding: list[Holding] = []
    together: defaultdict[tuple[str, Dimension, int], dict[int, float]] = defaultdict(dict)
    for model in models:
        targets = {
            len(variables) + at: each for at, each in enumerate(each for each in model.targets if not each.priority)
        }
        taken = {place: part_taken(model, target) for place, target in targets.items()}
        for place, target in targets.items():
            for dimension in limited_together(model, target):
                limit = getattr(target.host_limit, dimension)
                together[target.host, dimension, limit][place] = getattr(model.peak, dimension) / 100
            why = (barred or {}).get((model.name, target.host))
            least = 1 if model.name in standing and target.share else 0
            variables.append(_variable(model, target, taken[place], why, least))
        places[model.name] = range(len(variables) - len(targets), len(variables))
        holding += _holding(model, targets, accepted)
    rows: list[Row] = []
    for (host, dimension, limit), parts in together.items():
        now = sum(part * variables[place].current for place, part in parts.items())
        step = limit / 100
        bound = Bound("shared limit", host, variables[min(parts)].model, step=Load(**{dimension: round(step)}))
        rows.append(Row(parts, max(limit, now), bound, lambda _, step=step: step))
    return Programme(tuple(variables), places, tuple(rows), tuple(holding))


def _holding(model: ModelPlan, targets: Mapping[int, Target], accepted: Sequence[str]) -> Iterator[Holding]:
    """What is limited over all models counts as if this one had it all: the checks of the plan know better."""
    if all(map(refuses, targets.values())):
        return
    taken = {
        place: min(
            (part for limit in (of.limit, of.host_limit) if (part := part_of(limit, model.peak)) is not None),
            default=None,
        )
        for place, of in targets.items()
    }
    vllms = [place for place, target in targets.items() if not refuses(target) and taken[place] is not None]
    if not vllms:
        return
    cases = [
        (lost, tuple(place for place, target in targets.items() if target.host in hosts))
        for lost, hosts in losses((model,))
        if (f"lost/{model.name}/{lost}" if lost else f"peak/{model.name}") not in accepted
        if not lost or any(target.host in hosts for target in targets.values())
    ]
    limits = {
        place: float(part) if part is not None and refuses(targets[place]) else None for place, part in taken.items()
    }
    for place in vllms:
        others = {other: limit for other, limit in limits.items() if other != place}
        host, most = targets[place], float(taken[place] or 0)
        yield Holding(model.name, host.host, place, most, _step(model, host), others, cases)


def _variable(model: ModelPlan, target: Target, taken: Fraction | None, barred: str | None, least: int) -> Variable:
    share = target.share
    of = (target.host, model.name)
    declared = model.least_shares.get(target.host, 0)
    lower, upper, at_upper = float(max(declared, least)), 100.0, None
    if taken is not None:
        upper, at_upper = max(float(100 * taken), share), Bound("limit", *of, step=_step(model, target))
    elif not limited_together(model, target):
        upper, at_upper = share, Bound("unknown limit", *of)
    if barred:
        upper, at_upper = 0.0, Bound("refused", *of, why=barred)
    if target.price is None:
        lower, upper, at_upper = share, share, None
    upper = min(100.0, max(lower, upper))
    tokens = _MILLION if model.volume is None else model.volume
    price = (target.price.input + target.price.output) / 2 if target.price else 0.0
    at_lower = Bound("least share", *of) if declared and target.price else None
    return Variable(model.name, target.host, tokens * price / _MILLION / 100, share, lower, upper, at_lower, at_upper)


def _step(model: ModelPlan, target: Target) -> Load:
    """A hundredth of the peak, in the number in which the host's limit is the tightest."""
    peak, limit = model.peak or Load(), target.limit
    if part_taken(model, target) is None:
        limit = target.host_limit
    compared = [each for each in DIMENSIONS if getattr(limit, each) and getattr(peak, each)]
    tightest = min(compared, key=lambda each: getattr(limit, each) / getattr(peak, each))
    return Load(**{tightest: max(1, round(getattr(peak, tightest) / 100))})


def _broken(programme: Programme, of: Holding, shares: Sequence[float]) -> Iterator[Row]:
    """The bound that these shares break most; nothing: they break none."""
    if shares[of.place] <= _SLACK:
        return
    scale = of.most / shares[of.place]
    """What comes to a host for each point while the vLLM gets as much as it holds, in parts of the peak."""
    carried = {place: scale * shares[place] for place in of.others}
    full = {place for place, limit in of.others.items() if limit is not None and carried[place] > limit}
    carried |= {place: of.others[place] or 0.0 for place in full}
    everything = of.most + sum(carried.values())
    cases = [
        (1 - everything + sum(carried[each] for each in gone), lost, gone)
        for lost, gone in of.cases
        if of.place not in gone
    ]
    short, lost, gone = max(cases, default=(0.0, "", ()))
    passing = [*gone, *(full - {*gone})]
    left = 1 - sum(of.others[place] or 0.0 for place in full - {*gone})
    if short <= _SLACK or not passing:
        return
    parts = {of.place: left, **dict.fromkeys(passing, of.most)}
    now = sum(part * programme.variables[place].current for place, part in parts.items())
    bound = Bound("lost" if lost else "limit", of.host, of.model, lost=lost, step=of.step)
    row = Row(parts, max(100 * of.most, now), bound, _more_left(passing))
    if sum(part * shares[place] for place, part in parts.items()) > row.most + _TOLERANCE:
        yield row


def _more_left(gone: Sequence[int]) -> Callable[[Sequence[float]], float]:
    """A hundredth of the peak more counts as far as anything of it is left."""
    return lambda shares: 1 - sum(shares[place] for place in gone) / 100


def rounded(programme: Programme, optimum: Optimum) -> dict[str, Shares]:
    """Whole shares within all bounds, of the models that cost less with them than they do.

    Where nobody has room for what is left, a vLLM gives a point back, as what it holds is what the others may not have.
    """
    whole = [floor(share + _SLACK) for share in optimum.shares]
    left = [row.most - sum(part * whole[place] for place, part in row.parts.items()) for row in programme.rows]
    rows: defaultdict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(programme.rows):
        for place in row.parts:
            rows[place].append(number)
    moved: dict[str, Shares] = {}

    def add(place: int, points: int) -> None:
        whole[place] += points
        for number in rows[place]:
            left[number] -= points * programme.rows[number].parts[place]

    for model, places in programme.models.items():
        variables = [(place, programme.variables[place]) for place in places]
        points = 100 - sum(whole[place] for place in places)
        vllms = {each.place for each in programme.holding if each.place in places}
        for attempt in range(_ATTEMPTS):
            for place, variable in sorted(variables, key=lambda each: each[1].cost):
                spare = floor(variable.upper + _SLACK) - whole[place]
                for number in rows[place]:
                    spare = min(spare, floor(left[number] / programme.rows[number].parts[place] + _SLACK))
                more = 0 if attempt and place in vllms else max(0, min(points, spare))
                add(place, more)
                points -= more
            for place in vllms if points else ():
                if whole[place] > programme.variables[place].lower:
                    add(place, -1)
                    points += 1
        saved = sum(variable.cost * (variable.current - whole[place]) for place, variable in variables)
        if points == 0 and saved >= 1:
            moved[model] = {variable.host: whole[place] for place, variable in variables}
    return moved


def _bindings(programme: Programme, optimum: Optimum) -> Iterator[Binding]:
    costly: list[tuple[Bound, float]] = []
    for variable, lower, upper in zip(programme.variables, optimum.lower, optimum.upper, strict=True):
        costly += [
            (bound, price) for bound, price in ((variable.at_lower, lower), (variable.at_upper, -upper)) if bound
        ]
    costly += [
        (row.bound, -marginal * row.relaxed(optimum.shares))
        for row, marginal in zip(programme.rows, optimum.rows, strict=True)
    ]
    for bound, saving in sorted(costly, key=lambda each: -each[1]):
        if saving >= _LEAST_SAVING:
            yield Binding(bound, round(saving))
