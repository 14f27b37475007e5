"""What a model costs as its shares stand, and what the stack's GPU nodes cost: micro-dollars, rounded in one place.

Tokens.  The blended price is the mean of the sharing hosts' prices by weight; fallbacks cost only when they are needed
and are left out.  Where the price of one sharing host is unknown, so is the blend: a mean of the rest would be a wrong
number.

A stack's `volume` is all tokens of a month, and says nothing of how many of them are prompt and how many answer.  The
cost of a month is therefore a range, from one extreme (all of them the cheaper kind) to the other.

GPU nodes.  Those that the stack provisions cost by the hour, whether they answer or not: their tokens cost nothing
more.  What they cost a month, of 730 hours, is a sum of its own: that of the nodes which are always there, and of all
that there may be.  The models of a host bear it evenly, as they share the nodes.

A sum has what is known, and names what is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from corral.plan.callers import Budget
from corral.plan.gpus import Nodes
from corral.plan.plan import OWN_GPUS, ModelPlan, Plan, Target

_MILLION = 1_000_000
_MONTH_HOURS = 730


@dataclass(frozen=True)
class Blended:
    """Micro-dollars per million tokens of prompt and of answer."""

    input: int
    output: int


@dataclass(frozen=True)
class Monthly:
    """Micro-dollars a month: at least, at most."""

    least: int
    most: int


@dataclass(frozen=True)
class Unpriced:
    """No sum, because the price at these sharing hosts is unknown, in order of name; none: nobody shares the model."""

    hosts: tuple[str, ...]


def blended(model: ModelPlan) -> Blended | Unpriced:
    """What a million of the model's tokens cost, over the hosts that share it."""
    priced = [(target.weight, target.price) for target in model.sharing if target.price]
    if not priced or len(priced) < len(model.sharing):
        return Unpriced(tuple(target.host for target in model.sharing if target.price is None))
    total = sum(weight for weight, _ in priced)
    return Blended(
        input=nearest(sum(weight * price.input for weight, price in priced), total),
        output=nearest(sum(weight * price.output for weight, price in priced), total),
    )


def monthly(model: ModelPlan) -> Monthly | Unpriced | None:
    """What a month of the declared volume costs at the blended price; None: the stack declares no volume."""
    if model.volume is None:
        return None
    price = blended(model)
    if isinstance(price, Unpriced):
        return price
    sums = [nearest(model.volume * each, _MILLION) for each in (price.input, price.output)]
    return Monthly(least=min(sums), most=max(sums))


def nearest(numerator: int, denominator: int) -> int:
    """The whole number nearest to the quotient of two whole numbers, the larger one where two are equally near."""
    return (2 * numerator + denominator) // (2 * denominator)


def dollars(micro: int) -> str:
    """A price to the last micro-dollar, in at least two decimals: `$0.72`, `$0.035`."""
    whole, rest = divmod(micro, _MILLION)
    return f"${whole:,}.{f'{rest:06}'.rstrip('0').ljust(2, '0')}"


def dollars_and_cents(micro: int) -> str:
    """A sum to the nearest cent: `$1,296.00`."""
    dollar, cents = divmod(nearest(micro, _MILLION // 100), 100)
    return f"${dollar:,}.{cents:02}"


def budget_text(budget: Budget) -> str:
    """`at most $300.00 a day and $4,000.00 a month`."""
    amounts = " and ".join(f"{dollars(limit)} a {window}" for window, limit in budget.windows)
    return f"at most {amounts}" if budget.at_limit == "refuse" else f"{amounts}, beyond which it is served all the same"


@dataclass(frozen=True)
class Sums:
    """What a month of the whole stack costs, in micro-dollars, as far as it is known."""

    tokens: Monthly
    """Of the models that declare a volume."""
    nodes: Monthly
    """Of GPU nodes: those that are always there, and all that there may be."""
    unknown: tuple[str, ...]
    """What is not in it: `llama-3.3-70b at lab`, `volume of llama-4-scout`, `g6e.12xlarge of vllm`."""

    def __bool__(self) -> bool:
        """Whether there is anything to add up."""
        return bool(self.tokens.most or self.nodes.most or self.unknown)


def sums(plan: Plan) -> Sums:
    """Of the plan."""
    months = [(model, monthly(model)) for model in plan.models]
    known = [month for _, month in months if isinstance(month, Monthly)]
    nodes = [month for each in plan.nodes if (month := by_month(each))]
    return Sums(
        Monthly(sum(month.least for month in known), sum(month.most for month in known)),
        Monthly(sum(month.least for month in nodes), sum(month.most for month in nodes)),
        tuple(_unknown(plan)),
    )


def _unknown(plan: Plan) -> Iterator[str]:
    """Nobody misses a volume where no model declares one and no node is paid for."""
    for model in plan.models if plan.nodes or any(each.volume for each in plan.models) else ():
        if model.volume is None:
            yield f"volume of {model.name}"
        elif isinstance(month := monthly(model), Unpriced):
            yield from (f"{model.name} at {host}" for host in month.hosts)
    yield from (f"{each.instance} of {each.host}" for each in plan.nodes if each.hourly is None)


def by_month(nodes: Nodes) -> Monthly | None:
    """What the nodes cost; None: unknown."""
    if nodes.hourly is None:
        return None
    return Monthly(*(count * nodes.hourly * _MONTH_HOURS for count in (nodes.least, nodes.most)))


@dataclass(frozen=True)
class BreakEven:
    """From how many tokens a month on GPU nodes cost less than a host that charges by the token."""

    model: str
    host: str
    """That with the nodes."""
    against: str
    least: int
    """Tokens, where all of them are the dearer kind."""
    most: int | None
    """Where all of them are the cheaper kind; None: that costs nothing there."""


def break_even(plan: Plan) -> Iterator[BreakEven]:
    """Of each model on nodes whose price is known, against each other host that has a price for it."""
    for nodes in plan.nodes:
        month, models = by_month(nodes), plan.at(nodes.host)
        if month is None or not month.least:
            continue
        for name in models:
            model = next(each for each in plan.models if each.name == name)
            for target in model.live:
                if target.price and target.price.source != OWN_GPUS and (dearer := max(_pair(target))):
                    part = month.least * _MILLION
                    cheaper = min(_pair(target))
                    least = -(-part // (len(models) * dearer))
                    most = -(-part // (len(models) * cheaper)) if cheaper else None
                    yield BreakEven(name, nodes.host, target.host, least, most)


def _pair(target: Target) -> tuple[int, int]:
    return (target.price.input, target.price.output) if target.price else (0, 0)
