"""What tokens and hours of GPU nodes cost: the list that every sum reads, and where its entries come from.

Policy.  A stack's prices are those of the lock file beside it.  Where there is none, they are those of this release:
the price list that comes with `genai-prices` has the first word, the catalog's own entry the second; nobody's word is
an unknown price.  A lock file is written from the same.

The price list of `genai-prices` finds models by patterns, some of which take any text that contains a name: a record
counts only if its own id is the host's id, whole or after the last `/`, so that one model never gets another's price.
A price that depends on the hour or on the length of the prompt is not one price and is left aside.  Nothing is fetched,
and where there is a lock file `genai-prices` is not even loaded.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

from corral.catalog.catalog import Catalog
from corral.catalog.units import Day, MicroDollars, Price, Strict, Text

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

REVIEW_DAYS = 90
"""After which somebody is to look whether a price is still the same."""

GENAI_PRICES, CATALOG = "genai-prices", "catalog"
"""How the source of an entry begins that is kept up to date; one with any other source is the operator's own."""


class TokenPrice(Price):
    """The price of one model at one kind of host, with its source."""

    source: Text
    as_of: Day
    """The day on which it was seen."""
    review_by: Day
    """The day until which somebody is to look again."""


class HourPrice(Strict):
    """The price of an hour of one instance type in one region, as it is bought, in dollars."""

    on_demand: MicroDollars | None = None
    spot: MicroDollars | None = None
    reserved: MicroDollars | None = None
    """Of what a reservation or a savings plan has bought."""
    source: Text
    as_of: Day
    review_by: Day


class Prices(Protocol):
    """Where a plan finds its prices; None: unknown."""

    def token(self, kind: str, model_id: str) -> TokenPrice | None:
        """Of a million tokens, at a kind of host, of the model with this id there."""
        ...

    def hour(self, region: str, instance: str) -> HourPrice | None:
        """Of a node."""
        ...


class PriceList(Strict):
    """The content of a lock file."""

    tokens: dict[str, dict[str, TokenPrice]] = Field(default={})
    """By kind of host and the host's id of the model."""
    hours: dict[str, dict[str, HourPrice]] = Field(default={})
    """By region and instance type."""

    def token(self, kind: str, model_id: str) -> TokenPrice | None:
        return self.tokens.get(kind, {}).get(model_id)

    def hour(self, region: str, instance: str) -> HourPrice | None:
        return self.hours.get(region, {}).get(instance)


NO_REGION = "anywhere"
"""The region of nodes that stand in none of a cloud."""

_REGION = "us-east-1"
"""Of the catalog's prices of GPU nodes."""


class Released:
    """The prices of this release."""

    def __init__(self, catalog: Catalog, today: date | None = None) -> None:
        """`today` is for a list that is written down; without one nothing is to be looked at again."""
        self._catalog = catalog
        self._today = today or date.min
        self._review_by = today + timedelta(REVIEW_DAYS) if today else date.max

    def token(self, kind: str, model_id: str) -> TokenPrice | None:
        host = self._catalog.hosts.get(kind)
        if host is None:
            return None
        record = listed(host.prices, model_id) if host.prices is not None else None
        if record is not None and (price := _one_price(record)) is not None:
            # The list does not say when it was seen: its release is what is known.
            from genai_prices import __version__

            source = f"{GENAI_PRICES} {__version__}"
            return self._entry(*price, source=source, as_of=self._today)
        model = next((each for each in host.models.values() if each.id == model_id), None)
        if model is None or model.price is None:
            return None
        price, seen = model.price, host.price_source or model
        source = f"{CATALOG}: {seen.source}"
        return self._entry(price.input, price.output, price.cached_input, source=source, as_of=seen.as_of)

    def _entry(self, prompt: int, answer: int, cached: int | None, *, source: str, as_of: date) -> TokenPrice:
        return TokenPrice.model_construct(
            input=prompt, output=answer, cached_input=cached, source=source, as_of=as_of, review_by=self._review_by
        )

    def hour(self, region: str, instance: str) -> HourPrice | None:
        for gpu in self._catalog.gpus.values() if region == _REGION else ():
            if (entry := gpu.instances.get(instance)) and entry.hourly is not None:
                source = f"{CATALOG}: {gpu.source}"
                return HourPrice.model_construct(
                    on_demand=entry.hourly, source=source, as_of=gpu.as_of, review_by=self._review_by
                )
        return None

    def whole(self, named: set[tuple[str, str]]) -> PriceList:
        """All of it: of what the catalog has and still is served, and of `named`, each a kind of host and an id."""
        served = {
            (kind, model.id)
            for kind, host in self._catalog.hosts.items()
            for model in host.models.values()
            if not hasattr(model.lifecycle, "retired")
        }
        tokens: dict[str, dict[str, TokenPrice]] = {}
        for kind, model_id in sorted(served | named):
            if price := self.token(kind, model_id):
                tokens.setdefault(kind, {})[model_id] = price
        instances = sorted(name for gpu in self._catalog.gpus.values() for name in gpu.instances)
        hours = {name: price for name in instances if (price := self.hour(_REGION, name))}
        return PriceList(tokens=tokens, hours={_REGION: hours})


_PROFILE = "us."
"""What Bedrock puts in front of a model's id for its cross-region profile, at the same price."""


def listed(provider: str, model_id: str) -> ModelInfo | None:
    """The price list's record of exactly this model; None: the list lacks the provider or the model."""
    from genai_prices.data import providers  # takes a fifth of a start, and only a release's prices need it

    wanted = model_id.removeprefix(_PROFILE).lower()
    names = {wanted, wanted.rpartition("/")[2]}
    for entry in providers:
        if entry.id == provider:
            return next((model for model in entry.models if model.id.lower() in names and model.is_match(wanted)), None)
    return None


def _one_price(record: ModelInfo) -> tuple[int, int, int | None] | None:
    """The record's price, if it is one: the same at any time and for any length."""
    from genai_prices.types import ModelPrice

    if not isinstance(record.prices, ModelPrice):
        return None
    dollars = record.prices.input_mtok, record.prices.output_mtok
    if not (isinstance(dollars[0], Decimal) and isinstance(dollars[1], Decimal)):
        return None
    cached = record.prices.cache_read_mtok
    return _micro(dollars[0]), _micro(dollars[1]), _micro(cached) if isinstance(cached, Decimal) else None


def _micro(dollars: Decimal) -> int:
    return int((dollars * 1_000_000).to_integral_value())
