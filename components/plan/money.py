"""What a model's tokens cost as its shares stand: whole micro-dollars, rounded in one place.

Policy.  The blended price is the mean of the sharing hosts' prices by weight; fallbacks cost only when they are needed
and are left out.  Where the price of one sharing host is unknown, so is the blend: a mean of the rest would be a wrong
number.

A stack's `volume` is all tokens of a month, and says nothing of how many of them are prompt and how many answer.  The
cost of a month is therefore a range, from one extreme (all of them the cheaper kind) to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.plan.plan import ModelPlan

_MILLION = 1_000_000


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
