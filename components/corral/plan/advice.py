"""The shares that cost least: a linear programme (`plan.programme`) over the shares of all models, rounded to whole
percents, and what its answer says.

Policy.  A model takes part that declares its `peak` and is on no ramp; a host, that has a place among its shares (0 is
one).  What is least is the price of a month's `volume`, prompt and answer half and half; a model without one counts as
a million tokens.  Tokens on GPU nodes of the stack cost nothing more, and the nodes are not counted: they cost what
they cost.  A share is at most what its host takes of the peak, and over all models what it takes together; at least
what `leastShares` says.  A vLLM refuses nothing: it is to hold what comes to it with everything up, and with each host
and each region lost whose loss the stack has not accepted.  Any other host passes on what it does not take.  A host
whose limit is unknown gets no more than it has, one whose price is unknown keeps what it has, and one at 0 stays there
where the plan would refuse it, or warn that it offers less.  Where the stack breaks a bound today the bound is what it
has: no share gets worse.

Shares are whole, and so are the bounds of each: the answer is rounded down, what is left goes to the cheapest host with
room, and a point moves where that costs less.  The plan with the
new shares is checked like any other.  A host at 0 carries nothing when others are lost: in the models of an error each
host that has a share keeps one point, and all is solved again; those of another error keep their shares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from math import ceil, floor

from corral.plan.checks.findings import Finding
from corral.plan.checks.run import check
from corral.plan.plan import ModelPlan, Plan
from corral.plan.programme import SLACK, Bound, Optimum, Programme, Row, Solver, optimal, programme_of
from corral.plan.ramps import Shares, with_shares

_ATTEMPTS = 4
"""To round a model's shares."""
_LEAST_SAVING = 10_000
"""Micro-dollars a month for which a bound is worth a word."""


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


def advise(plan: Plan, begin: Callable[[Programme], Solver], today: date) -> Advice | None:
    """The advice for a plan without errors; None: no shares are within all bounds."""
    kept = {model.name: why for model in plan.models if (why := _apart(model))}
    barred = {(model.name, host): why for model in plan.models for host, why in _refused(plan, model, today)}
    before, standing = check(plan, today), set[str]()
    while True:
        models = [model for model in plan.models if model.name not in kept]
        programme = programme_of(models, plan.engine, barred, plan.accept, standing)
        rows, optimum = optimal(programme, begin)
        if optimum is None:
            return None
        shares = rounded(programme, rows, optimum)
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
        bindings=tuple(_bindings(programme, rows, optimum)),
        over=max(0, round(cost - least)),
        least=round(least),
        kept=kept,
        new=tuple(each for each in after if each.name not in former and each.level == "warning"),
    )


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


class _Rounding:
    """Whole shares, and what is left of each row."""

    def __init__(self, programme: Programme, rows: Sequence[Row], optimum: Optimum) -> None:
        self.variables = programme.variables
        self.whole = [floor(share + SLACK) for share in optimum.shares]
        self._left = [row.most - sum(part * self.whole[place] for place, part in row.parts.items()) for row in rows]
        self._parts: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        for number, row in enumerate(rows):
            for place, part in row.parts.items():
                self._parts[place].append((number, part))

    def spare(self, place: int) -> int:
        """The points that the share has room for."""
        spare = floor(self.variables[place].upper + SLACK) - self.whole[place]
        for number, part in self._parts.get(place, ()) if spare > 0 else ():
            if part:
                spare = min(spare, floor(self._left[number] / part + SLACK))
        return max(0, spare)

    def add(self, place: int, points: int) -> None:
        self.whole[place] += points
        for number, part in self._parts.get(place, ()):
            self._left[number] -= points * part

    def fill(self, places: Sequence[int], holding: Collection[int]) -> bool:
        """Gives a model's missing points to its cheapest hosts with room; whether there was room for all.

        Where there is none, a vLLM gives a point back, as what it holds is what the others may not have.
        """
        points = 100 - sum(self.whole[place] for place in places)
        for attempt in range(_ATTEMPTS):
            for place in places if points else ():
                more = 0 if attempt and place in holding else min(points, self.spare(place))
                self.add(place, more)
                points -= more
            for place in holding if points else ():
                if self.whole[place] > self.variables[place].lower:
                    self.add(place, -1)
                    points += 1
        return points == 0

    def improve(self, places: Sequence[int]) -> None:
        """Moves points from a model's dearest hosts to its cheapest, as far as there is room."""
        for dear in reversed(places):
            for cheap in places:
                movable = self.whole[dear] - ceil(self.variables[dear].lower - SLACK)
                if movable <= 0 or self.variables[cheap].cost >= self.variables[dear].cost:
                    break
                while movable > 0 and self.spare(cheap):
                    self.add(dear, -1)
                    self.add(cheap, 1)
                    movable -= 1


def rounded(programme: Programme, rows: Sequence[Row], optimum: Optimum) -> dict[str, Shares]:
    """Whole shares within all bounds, of the models that cost less with them than they do."""
    rounding, variables = _Rounding(programme, rows, optimum), programme.variables
    held: defaultdict[str, list[int]] = defaultdict(list)
    for each in programme.holding:
        held[each.of.name].append(each.place)
    by_cost = {name: sorted(at, key=lambda place: variables[place].cost) for name, at in programme.models.items()}
    whole = {name: at for name, at in by_cost.items() if rounding.fill(at, held[name])}
    for places in whole.values():
        rounding.improve(places)
    moved: dict[str, Shares] = {}
    for name in whole:
        shares = {place: rounding.whole[place] for place in programme.models[name]}
        if sum(variables[place].cost * (variables[place].current - share) for place, share in shares.items()) >= 1:
            moved[name] = {variables[place].target.host: share for place, share in shares.items()}
    return moved


def _bindings(programme: Programme, rows: Sequence[Row], optimum: Optimum) -> Iterator[Binding]:
    costly = [
        (bound, abs(price))
        for variable, price in zip(programme.variables, optimum.points, strict=True)
        if abs(price) >= _LEAST_SAVING and (bound := variable.bound(upper=price < 0))
    ]
    costly += [(row.bound, -price * row.relaxed(optimum.shares)) for row, price in zip(rows, optimum.rows, strict=True)]
    for bound, saving in sorted(costly, key=lambda each: -each[1]):
        if saving >= _LEAST_SAVING:
            yield Binding(bound, round(saving))
