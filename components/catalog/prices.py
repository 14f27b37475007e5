"""What a host charges for a model.

Policy.  The price list that comes with `genai-prices` has the first word, the catalog's own entry the second; nobody's
word is an unknown price.  The list finds models by patterns, some of which take any text that contains a name: a record
counts only if its own id is the host's id, whole or after the last `/`, so that one model never gets another's price.
A price that depends on the hour or on the length of the prompt is not one price and is left aside.  Nothing is fetched.
"""

from __future__ import annotations

from decimal import Decimal

from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice

from components.catalog.catalog import HostEntry, ModelEntry
from components.plan.plan import Price

_PROFILE = "us."
"""What Bedrock puts in front of a model's id for its cross-region profile, at the same price."""


def price_of(host: HostEntry, model: ModelEntry) -> Price | None:
    """Micro-dollars per million tokens, from `genai-prices` or the `catalog`; None: unknown."""
    record = listed(host.prices, model.id) if host.prices is not None else None
    if record is not None and (price := _one_price(record)) is not None:
        return price
    if model.price is not None:
        return Price(model.price.input, model.price.output, source="catalog")
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
    return Price(_micro(dollars[0]), _micro(dollars[1]), source="genai-prices")


def _micro(dollars: Decimal) -> int:
    return int((dollars * 1_000_000).to_integral_value())
