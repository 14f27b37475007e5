"""What a host charges for a model, and what a model costs as its shares stand: micro-dollars, rounded in one place.

Prices.  The price list that comes with `genai-prices` has the first word, the catalog's own entry the second; nobody's
word is an unknown price.  The list finds models by patterns, some of which take any text that contains a name: a record
counts only if its own id is the host's id, whole or after the last `/`, so that one model never gets another's price.
A price that depends on the hour or on the length of the prompt is not one price and is left aside.  Nothing is fetched.

Sums.  The blended price is the mean of the sharing hosts' prices by weight; fallbacks cost only when they are needed
and are left out.  Where the price of one sharing host is unknown, so is the blend: a mean of the rest would be a wrong
number.

A stack's `volume` is all tokens of a month, and says nothing of how many of them are prompt and how many answer.  The
cost of a month is therefore a range, from one extreme (all of them the cheaper kind) to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice

from corral.catalog.catalog import HostEntry, ModelEntry
from corral.plan.plan import ModelPlan, Price

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


_PROFILE = "us."
"""What Bedrock puts in front of a model's id for its cross-region profile, at the same price."""


def price_of(host: HostEntry, model: ModelEntry) -> Price | None:
    """Micro-dollars per million tokens, from `genai-prices` or the `catalog`; None: unknown."""
    record = listed(host.prices, model.id) if host.prices is not None else None
    if record is not None and (price := _one_price(record)) is not None:
        return price
    if model.price is not None:
        return Price(model.price.input, model.price.output, "catalog", model.price.cached_input)
    return None


def listed(provider: str, model_id: str) -> ModelInfo | None:
    """The price list's record of exactly this model; None: the list lacks the provider or the model."""
    wanted = model_id.removeprefix(_PROFILE).lower()
    names = {wanted, wanted.rpartition("/")[2]}
    for entry in providers:
        if entry.id == provider:
            return next((model for model in entry.models if model.id.lower() in names and model.is_match(wanted)), None)
    return None


def _one_price(record: ModelInfo) -> Price | None:
    """The record's price, if it is one: the same at any time and for any length."""
    if not isinstance(record.prices, ModelPrice):
        return None
    dollars = record.prices.input_mtok, record.prices.output_mtok
    if not (isinstance(dollars[0], Decimal) and isinstance(dollars[1], Decimal)):
        return None
    cached = record.prices.cache_read_mtok
    kept = _micro(cached) if isinstance(cached, Decimal) else None
    return Price(_micro(dollars[0]), _micro(dollars[1]), "genai-prices", kept)


def _micro(dollars: Decimal) -> int:
    return int((dollars * 1_000_000).to_integral_value())
