"""The linear programme of the shares that cost least: what may be moved, and the bounds that hold it (`plan.advice` has
the policy).

What comes to a vLLM that refuses nothing grows as others are full.  It holds that if, for every set of these, its share
of what they do not take is within its limit: each set is a linear bound.  There are too many to write down, so the
programme begins with none of them, and gets that which its answer breaks most, until it breaks none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import floor
from typing import Literal, NamedTuple

from corral.plan.capacity import DIMENSIONS, Dimension, Engine, limited_together, losses, refuses
from corral.plan.plan import Load, ModelPlan, Target

_MILLION = 10**6
SLACK = 1e-6
"""Of a share: a solver's answer is not exact."""
_TOLERANCE = 1e-4
"""Of a sum of shares."""
_NO_LIMIT = Load()

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


class Variable(NamedTuple):
    """The share of one host in one model, in points."""

    of: ModelPlan
    target: Target
    cost: float
    """Micro-dollars a month for each point."""
    lower: float
    upper: float
    kept: Kind | None
    """By what it may not be larger; None: by nothing of its own, or nothing that matters."""
    why: str = ""

    @property
    def model(self) -> str:
        return self.of.name

    @property
    def host(self) -> str:
        return self.target.host

    @property
    def current(self) -> int:
        return self.target.share

    def bound(self, *, upper: bool) -> Bound | None:
        """What holds it at that end; None: nothing that could be relaxed."""
        host, model = self.host, self.model
        if not upper:
            declared = self.target.price and self.of.least_shares.get(host)
            return Bound("least share", host, model) if declared else None
        step = _step(self.of, self.target) if self.kept == "limit" else Load()
        return self.kept and Bound(self.kept, host, model, why=self.why, step=step)


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

    of: ModelPlan
    targets: Mapping[int, Target]
    """Of its model, by place."""
    place: int
    accepted: Collection[str]

    @property
    def target(self) -> Target:
        return self.targets[self.place]

    @cached_property
    def _taken(self) -> dict[int, float | None]:
        """What is limited over all models counts as if this one had it all: the checks of the plan know better."""
        peak = self.of.peak or Load()
        return {
            place: min(
                (part for limit in (of.limit, of.host_limit) if (part := _part(limit, peak)) is not None), default=None
            )
            for place, of in self.targets.items()
        }

    @cached_property
    def most(self) -> float | None:
        """The part of the peak that it holds; None: unknown."""
        return self._taken[self.place]

    @cached_property
    def others(self) -> dict[int, float | None]:
        """The part that each other sharing host takes, by place; None: all that comes, as another vLLM does, or
        unknown."""
        return {
            place: self._taken[place] if refuses(target, "kubernetes") else None
            for place, target in self.targets.items()
            if place != self.place
        }

    @cached_property
    def cases(self) -> list[tuple[str, tuple[int, ...]]]:
        """What may be lost, with the places that are lost with it; first nothing."""
        model, places = self.of, {target.host: place for place, target in self.targets.items()}
        lost = [(name, tuple(places[host] for host in hosts if host in places)) for name, hosts in losses((model,))]
        return [
            (name, gone)
            for name, gone in lost
            if (f"lost/{model.name}/{name}" if name else f"peak/{model.name}") not in self.accepted
            if gone or not name
        ]


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
    """The answer of a solver: the shares, and how much the cost grows with a point more of each, and with a unit of
    each row (less than nothing: it would sink)."""

    shares: Sequence[float]
    points: Sequence[float]
    rows: Sequence[float]


Solver = Callable[[Sequence[Row]], Optimum | None]
"""Of a programme and all rows that it was given so far, and these; None: no shares are within all bounds."""


def optimal(programme: Programme, begin: Callable[[Programme], Solver]) -> tuple[Sequence[Row], Optimum | None]:
    """The answer, with the rows that it took; None: no shares are within all bounds."""
    solve, rows = begin(programme), [*programme.rows]
    optimum = solve(rows)
    while optimum and (more := [row for each in programme.holding for row in _broken(programme, each, optimum.shares)]):
        rows += more
        optimum = solve(more)
    return rows, optimum


def programme_of(
    models: Sequence[ModelPlan],
    engine: Engine,
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
        targets = dict(enumerate((each for each in model.targets if not each.priority), len(variables)))
        for place, target in targets.items():
            shared = limited_together(model, target) if target.host_limit != _NO_LIMIT else []
            for dimension in shared:
                limit = getattr(target.host_limit, dimension)
                together[target.host, dimension, limit][place] = getattr(model.peak, dimension) / 100
            why = barred.get((model.name, target.host), "") if barred else ""
            least = 1 if model.name in standing and target.share else 0
            variables.append(_variable(model, target, why, least, shared=bool(shared)))
            if not refuses(target, engine):
                holding.append(Holding(model, targets, place, accepted))
        places[model.name] = range(len(variables) - len(targets), len(variables))
    rows: list[Row] = []
    for (host, dimension, limit), parts in together.items():
        now = sum(part * variables[place].current for place, part in parts.items())
        step = limit / 100
        bound = Bound("shared limit", host, variables[min(parts)].of.name, step=Load(**{dimension: round(step)}))
        rows.append(Row(parts, max(limit, now), bound, lambda _, step=step: step))
    return Programme(tuple(variables), places, tuple(rows), tuple(holding))


def _part(limit: Load, peak: Load) -> float | None:
    """The part of a peak that a limit lets through; None: they have no number in common."""
    numbers = (limit.tokens, peak.tokens), (limit.requests, peak.requests), (limit.concurrent, peak.concurrent)
    return min([its / whole for its, whole in numbers if its and whole], default=None)


def _variable(model: ModelPlan, target: Target, barred: str, least: int, *, shared: bool) -> Variable:
    share, price = target.share, target.price
    if price is None:
        return Variable(model, target, 0.0, share, share, None)
    lower, upper = float(max(model.least_shares.get(target.host, 0), least)), 100.0
    taken, kept = _part(target.limit, model.peak or _NO_LIMIT), None
    if barred:
        upper, kept = 0.0, "refused"
    elif taken is not None:
        upper, kept = max(float(floor(100 * taken + SLACK)), share), "limit"
    elif not shared:
        upper, kept = share, "unknown limit"
    tokens = _MILLION if model.volume is None else model.volume
    cost = tokens * (price.input + price.output) / (200 * _MILLION)
    return Variable(model, target, cost, lower, min(100.0, max(lower, upper)), kept, barred)


def _step(model: ModelPlan, target: Target) -> Load:
    """A hundredth of the peak, in the number in which the host's limit is the tightest."""
    peak, limit = model.peak or Load(), target.limit
    if _part(limit, peak) is None:
        limit = target.host_limit
    compared = [each for each in DIMENSIONS if getattr(limit, each) and getattr(peak, each)]
    tightest = min(compared, key=lambda each: getattr(limit, each) / getattr(peak, each))
    return Load(**{tightest: max(1, round(getattr(peak, tightest) / 100))})


def _broken(programme: Programme, of: Holding, shares: Sequence[float]) -> Iterator[Row]:
    """The bound that these shares break most; nothing: they break none."""
    if shares[of.place] <= SLACK or of.most is None:
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
    if short <= SLACK or not passing:
        return
    parts = {of.place: left, **dict.fromkeys(passing, of.most)}
    now = sum(part * programme.variables[place].current for place, part in parts.items())
    bound = Bound("lost" if lost else "limit", of.target.host, of.of.name, lost=lost, step=_step(of.of, of.target))
    row = Row(parts, max(100 * of.most, now), bound, _more_left(passing))
    if sum(part * shares[place] for place, part in parts.items()) > row.most + _TOLERANCE:
        yield row


def _more_left(gone: Sequence[int]) -> Callable[[Sequence[float]], float]:
    """A hundredth of the peak more counts as far as anything of it is left."""
    return lambda shares: 1 - sum(shares[place] for place in gone) / 100
