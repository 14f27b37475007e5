import re
from datetime import date
from decimal import Decimal
from importlib import metadata
from typing import Any

import pytest
from genai_prices.data import providers
from genai_prices.types import ClauseContains, ConditionalPrice, ModelInfo, ModelPrice, Tier, TieredPrices

from corral.catalog import prices
from corral.catalog.catalog import Catalog, HostEntry, ModelEntry
from corral.catalog.load import load_catalog
from corral.catalog.prices import PriceList, Released, TokenPrice, listed

TODAY = date(2026, 11, 30)
CATALOG = load_catalog()
RELEASED = Released(CATALOG, TODAY)
LIST = f"genai-prices {metadata.version('genai-prices')}"
ENTRIES = [(host, model) for host, entry in CATALOG.hosts.items() for model in entry.models]


def _host(**changes: Any) -> HostEntry:
    return HostEntry.model_validate({"title": "x", "auth": "none", "asOf": "2026-07-06", "source": "here"} | changes)


def _model(id_: str, **changes: Any) -> ModelEntry:
    return ModelEntry.model_validate({"id": id_, "asOf": "2026-07-06", "source": "here"} | changes)


def test_what_can_be_called_has_the_price_last_seen():
    """In dollars per million tokens, as seen from July to October 2026; of two the dearer; None: unknown."""
    assert {
        f"{host}/{model}": price and (price.input / 10**6, price.output / 10**6, re.split("[ :]", price.source)[0])
        for host, model in ENTRIES
        if host != "vllm" and not hasattr(CATALOG.hosts[host].models[model].lifecycle, "retired")
        for price in [RELEASED.token(host, CATALOG.hosts[host].models[model].id)]
    } == {
        "azure/llama-3.3-70b": (0.71, 0.71, "catalog"),
        "azure/llama-4-maverick": (0.35, 1.41, "catalog"),
        "azure/llama-4-scout": (0.20, 0.78, "catalog"),
        "bedrock/llama-3.1-8b": (0.22, 0.22, "genai-prices"),
        "bedrock/llama-3.1-70b": (0.72, 0.72, "genai-prices"),
        "bedrock/llama-3.3-70b": (0.72, 0.72, "genai-prices"),
        "bedrock/llama-4-maverick": (0.24, 0.97, "genai-prices"),
        "bedrock/llama-4-scout": (0.17, 0.66, "genai-prices"),
        "coreweave/llama-3.1-8b": (0.22, 0.22, "catalog"),
        "coreweave/llama-3.1-70b": (0.80, 0.80, "catalog"),
        "coreweave/llama-3.3-70b": (0.71, 0.71, "catalog"),
        "deepinfra/llama-3.1-8b": (0.03, 0.05, "catalog"),
        "deepinfra/llama-3.1-70b": (0.40, 0.40, "catalog"),
        "deepinfra/llama-3.2-11b-vision": None,
        "deepinfra/llama-3.2-3b": (0.02, 0.02, "catalog"),
        "deepinfra/llama-3.3-70b": (0.13, 0.40, "catalog"),
        "deepinfra/llama-4-maverick": (0.15, 0.60, "catalog"),
        "deepinfra/llama-4-scout": (0.10, 0.30, "catalog"),
        "fireworks/llama-3.1-8b": None,
        "fireworks/llama-3.3-70b": None,
        "fireworks/llama-4-maverick": None,
        "fireworks/llama-4-scout": None,
        "groq/llama-3.1-8b": (0.05, 0.08, "genai-prices"),
        "groq/llama-3.3-70b": (0.59, 0.79, "genai-prices"),
        "replicate/llama-3.1-405b": None,
        "replicate/llama-4-maverick": None,
        "together/llama-3.3-70b": (0.88, 0.88, "genai-prices"),
    }


def test_the_gpus_of_vllm_have_no_price_by_the_token():
    vllm = CATALOG.hosts["vllm"]
    assert [model.id for model in vllm.models.values() if RELEASED.token("vllm", model.id)] == []


def test_every_record_is_the_very_model_of_the_entry():
    records = {
        f"{host}/{model}": record.id
        for host, model in ENTRIES
        if (provider := CATALOG.hosts[host].prices) is not None
        and (record := listed(provider, CATALOG.hosts[host].models[model].id)) is not None
    }
    assert records == {
        "bedrock/llama-3.1-70b": "meta.llama3-1-70b-instruct-v1:0",
        "bedrock/llama-3.1-8b": "meta.llama3-1-8b-instruct-v1:0",
        "bedrock/llama-3.2-11b-vision": "meta.llama3-2-11b-instruct-v1:0",
        "bedrock/llama-3.2-1b": "meta.llama3-2-1b-instruct-v1:0",
        "bedrock/llama-3.2-3b": "meta.llama3-2-3b-instruct-v1:0",
        "bedrock/llama-3.2-90b-vision": "meta.llama3-2-90b-instruct-v1:0",
        "bedrock/llama-3.3-70b": "meta.llama3-3-70b-instruct-v1:0",
        "bedrock/llama-4-maverick": "meta.llama4-maverick-17b-instruct-v1:0",
        "bedrock/llama-4-scout": "meta.llama4-scout-17b-instruct-v1:0",
        "groq/llama-3.1-8b": "llama-3.1-8b-instant",
        "groq/llama-3.3-70b": "llama-3.3-70b-versatile",
        "groq/llama-4-maverick": "meta-llama/llama-4-maverick-17b-128e-instruct",
        "groq/llama-4-scout": "meta-llama/llama-4-scout-17b-16e-instruct",
        "together/llama-3.1-405b": "meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo",
        "together/llama-3.1-70b": "meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo",
        "together/llama-3.1-8b": "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
        "together/llama-3.3-70b": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "together/llama-4-maverick": "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        "together/llama-4-scout": "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    }


@pytest.mark.parametrize(
    ("provider", "id_", "record"),
    [
        ("fireworks", "accounts/fireworks/models/llama-v3p1-8b-instruct", "llama-v3p1-8b-instruct"),
        ("fireworks", "accounts/acme/models/llama-v3p1-8b-instruct", None),
        ("aws", "acme.meta.llama3-1-70b-instruct-v1:0", None),
        ("aws", "eu.meta.llama3-1-70b-instruct-v1:0", None),
        ("aws", "meta.llama3-1-405b-instruct-v1:0", None),
        ("amazon", "meta.llama3-1-70b-instruct-v1:0", None),
        ("azure", "gpt-4o", None),
    ],
)
def test_what_only_looks_like_a_record_is_none(provider: str, id_: str, record: str | None):
    info = listed(provider, id_)
    assert (info and info.id) == record


def test_some_traps_are_real():
    """The price list's own search does find a price for ids that are not the model's."""
    aws = next(provider for provider in providers if provider.id == "aws")
    azure = next(provider for provider in providers if provider.id == "azure")
    assert aws.find_model("acme.meta.llama3-1-70b-instruct-v1:0") is not None
    assert azure.find_model("gpt-4o", all_providers=providers) is not None


def priced(host: HostEntry, model: ModelEntry) -> tuple[int, int, str] | None:
    """Of a catalog with nothing else in it."""
    catalog = Catalog(hosts={"x": host.model_copy(update={"models": {"m": model}})}, models={}, places={})
    price = Released(catalog, TODAY).token("x", model.id)
    return price and (price.input, price.output, price.source)


def test_the_price_list_goes_before_the_catalog():
    model = _model("llama-3.3-70b-versatile", price={"input": 1, "output": 2})
    assert priced(_host(prices="groq"), model) == (590_000, 790_000, LIST)
    assert priced(_host(), model) == (1_000_000, 2_000_000, "catalog: here")


def test_a_price_of_nought_is_a_price():
    assert priced(_host(), _model("x", price={"input": 0, "output": 0})) == (0, 0, "catalog: here")


def test_prices_have_the_source_that_the_host_says_where_it_says_one():
    seen = {"asOf": "2026-07-02", "source": "a third party"}
    model = _model("x", price={"input": 1, "output": 2, "cachedInput": 0.5})
    host = _host(priceSource=seen).model_copy(update={"models": {"m": model}})
    catalog = Catalog(hosts={"x": host}, models={}, places={})
    assert Released(catalog, TODAY).whole(set()) == PriceList(
        tokens={
            "x": {
                "x": TokenPrice.model_validate(
                    {
                        "input": 1,
                        "output": 2,
                        "cached_input": 0.5,
                        "source": "catalog: a third party",
                        "as_of": date(2026, 7, 2),
                        "review_by": date(2027, 2, 28),
                    }
                )
            }
        },
        hours={"us-east-1": {}},
    )


def test_hours_are_those_of_the_catalogs_region():
    price = RELEASED.hour("us-east-1", "g6e.12xlarge")
    assert price
    assert (price.on_demand, price.spot, price.as_of) == (10_493_000, None, date(2026, 7, 20))
    assert (RELEASED.hour("us-west-2", "g6e.12xlarge"), RELEASED.hour("us-east-1", "p5e.48xlarge")) == (None, None)


ONE = Decimal("0.123456789")
TIERED = TieredPrices(base=Decimal(1), tiers=[Tier(start=100_000, price=Decimal(2))])


@pytest.mark.parametrize(
    ("record", "price"),
    [
        (ModelPrice(input_mtok=ONE, output_mtok=Decimal(3)), (123_457, 3_000_000, LIST)),
        (ModelPrice(input_mtok=TIERED, output_mtok=Decimal(3)), (7_000_000, 8_000_000, "catalog: here")),
        (ModelPrice(input_mtok=ONE), (7_000_000, 8_000_000, "catalog: here")),
        (
            [ConditionalPrice(prices=ModelPrice(input_mtok=ONE, output_mtok=ONE))],
            (7_000_000, 8_000_000, "catalog: here"),
        ),
    ],
    ids=["one price", "tiers", "input only", "conditions"],
)
def test_a_price_with_conditions_is_left_to_the_catalog(
    record: ModelPrice | list[ConditionalPrice], price: tuple[int, int, str], monkeypatch: pytest.MonkeyPatch
):
    info = ModelInfo(id="x", match=ClauseContains("x"), prices=record)
    monkeypatch.setattr(prices, "listed", lambda *key: {("groq", "x"): info}[key])
    assert priced(_host(prices="groq"), _model("x", price={"input": 7, "output": 8})) == price
