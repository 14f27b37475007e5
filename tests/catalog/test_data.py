"""What the data itself must hold.  `complaints` says what does not; that it can is tested on catalogs made wrong."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from string import Formatter
from typing import Any

import pytest
import yaml
from botocore.loaders import Loader
from genai_prices.data import providers

from corral.catalog.catalog import Catalog, Shape, Takes
from corral.catalog.load import DATA, load_catalog
from corral.catalog.units import Restricted, Retired

TODAY = datetime.now(UTC).date()


def complaints(catalog: Catalog, today: date) -> list[str]:
    return [*_of_hosts(catalog, today), *_of_entries(catalog, today), *_of_families(catalog, today)]


def _of_hosts(catalog: Catalog, today: date) -> Iterator[str]:
    for name, host in catalog.hosts.items():
        if host.as_of > today:
            yield f"{name}: seen on a day to come"
        if not host.source.strip():
            yield f"{name}: no source"
        if host.auth in ("bearer", "api-key") and host.key_variable is None and name != "openai":
            yield f"{name}: no key variable"
        if host.key_variable is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]*", host.key_variable):
            yield f"{name}: {host.key_variable} is no variable"
        if host.url is not None:
            if not re.fullmatch(r"https://[^\s?#]*[^\s?#/]", host.url):
                yield f"{name}: {host.url} is no base URL"
            if {field for _, field, _, _ in Formatter().parse(host.url) if field} - {"region", "resource"}:
                yield f"{name}: {host.url} has a gap that nothing fills"
        if not re.fullmatch(r"/[a-z/]*(\?[a-z]+)?", host.model_list):
            yield f"{name}: {host.model_list} does not stand after a base URL"
        if host.placeholder is not None and (host.url is not None or host.models):
            yield f"{name}: a placeholder that names a URL or an id"
        if host.prices is not None and host.prices not in {provider.id for provider in providers}:
            yield f"{name}: the price list has no {host.prices}"
        ids = [entry.id.casefold() for entry in host.models.values()]
        yield from (f"{name}: {id_} twice" for id_ in sorted({id_ for id_ in ids if ids.count(id_) > 1}))
        for region in host.regions or ():
            if region != "global" and region not in catalog.places:
                yield f"{name}: no such region as {region}"


def _of_entries(catalog: Catalog, today: date) -> Iterator[str]:
    for where, model, entry in (
        (f"{name}/{model}", model, entry)
        for name, host in catalog.hosts.items()
        for model, entry in host.models.items()
    ):
        if model not in catalog.models:
            yield f"{where}: no such model"
        if not re.fullmatch(r"\S+", entry.id):
            yield f"{where}: no id"
        elif identity(entry.id) != identity(model):
            yield f"{where}: {entry.id} is another model"
        if entry.as_of > today:
            yield f"{where}: seen on a day to come"
        if not entry.source.strip():
            yield f"{where}: no source"
        for region in [*(entry.callable_from or ()), *(entry.reaches or ())]:
            if region != "global" and region not in catalog.places:
                yield f"{where}: no such region as {region}"
        if entry.id.startswith("us."):
            if not entry.callable_from or not set(entry.callable_from) <= set(entry.reaches or ()):
                yield f"{where}: a profile that does not reach where it is called"
            if any(catalog.places.get(region) != "us" for region in entry.reaches or ()):
                yield f"{where}: a us profile that leaves the us"
        if entry.output is not None and (entry.context is None or entry.output > entry.context):
            yield f"{where}: an answer longer than the context"
        if entry.tools_while_streaming and not (entry.tools and entry.streaming):
            yield f"{where}: tools while streaming, without tools or streaming"


def _of_families(catalog: Catalog, today: date) -> Iterator[str]:
    for name, family in catalog.models.items():
        if family.as_of is not None and family.as_of > today:
            yield f"{name}: seen on a day to come"
        if (family.as_of is None) != (family.source is None):
            yield f"{name}: a day without a source, or a source without a day"
        if family.as_of is None and (family.context, family.vision) != (None, None):
            yield f"{name}: facts of no day"
        if family.placeholder is not None and any(name in host.models for host in catalog.hosts.values()):
            yield f"{name}: a placeholder that a host has an id for"


def identity(text: str) -> tuple[str, str, str] | None:
    """Generation, minor version (none: empty) and size or name of the Llama that a name or an id speaks of."""
    match = re.search(r"llama-?v?(\d)(?:[.p-](\d)(?![\db]))?\b.*?(scout|maverick|\d+b)", text.lower())
    return (match[1], match[2] or "", match[3]) if match else None


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("llama-3.1-8b", ("3", "1", "8b")),
        ("us.meta.llama3-1-70b-instruct-v1:0", ("3", "1", "70b")),
        ("meta.llama3-70b-instruct-v1:0", ("3", "", "70b")),
        ("meta.llama3-8b-instruct-v1:0", ("3", "", "8b")),
        ("accounts/fireworks/models/llama-v3p3-70b-instruct", ("3", "3", "70b")),
        ("us.meta.llama4-scout-17b-instruct-v1:0", ("4", "", "scout")),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", ("4", "", "maverick")),
        ("meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo", ("3", "1", "405b")),
        ("gpt-oss-120b", None),
    ],
)
def test_a_llama_is_known_by_its_id(text: str, want: tuple[str, str, str] | None):
    assert identity(text) == want


def test_the_catalog_has_no_faults():
    assert complaints(load_catalog(), TODAY) == []


RIGHT: dict[str, Any] = {
    "id": "us.meta.llama3-3-70b-instruct-v1:0",
    "callableFrom": ["us-east-1"],
    "reaches": ["us-east-1"],
}
SEEN = {"asOf": TODAY, "source": "here"}
TOMORROW = TODAY + timedelta(days=1)
LATER = "seen on a day to come"


def _catalog(entry: dict[str, Any], host: dict[str, Any], family: dict[str, Any]) -> Catalog:
    return Catalog.model_validate(
        {
            "hosts": {
                "lab": {"title": "Lab", "auth": "none", "models": {"llama-3.3-70b": RIGHT | SEEN | entry}} | SEEN | host
            },
            "models": {"llama-3.3-70b": {"title": "Llama"} | family},
            "places": {"us-east-1": "us", "eu-west-1": "eu"},
        }
    )


def test_a_catalog_without_faults_gets_no_complaints():
    assert complaints(_catalog({}, {}, {}), TODAY) == []


@pytest.mark.parametrize(
    ("entry", "host", "family", "complaint"),
    [
        ({"id": ""}, {}, {}, "lab/llama-3.3-70b: no id"),
        ({"id": "meta.llama3-1-70b"}, {}, {}, "lab/llama-3.3-70b: meta.llama3-1-70b is another model"),
        ({"asOf": TOMORROW}, {}, {}, f"lab/llama-3.3-70b: {LATER}"),
        ({"source": " "}, {}, {}, "lab/llama-3.3-70b: no source"),
        ({"reaches": ["us-east-1", "mars"]}, {}, {}, "lab/llama-3.3-70b: no such region as mars"),
        ({"reaches": None}, {}, {}, "lab/llama-3.3-70b: a profile that does not reach where it is called"),
        ({"reaches": ["us-east-1", "eu-west-1"]}, {}, {}, "lab/llama-3.3-70b: a us profile that leaves the us"),
        ({"context": 1, "output": 2}, {}, {}, "lab/llama-3.3-70b: an answer longer than the context"),
        (
            {"toolsWhileStreaming": True},
            {},
            {},
            "lab/llama-3.3-70b: tools while streaming, without tools or streaming",
        ),
        ({}, {"models": {"llama-9": RIGHT | SEEN | {"id": "llama-9-1b"}}}, {}, "lab/llama-9: no such model"),
        (
            {},
            {"models": {"llama-3.3-70b": RIGHT | SEEN, "llama-3.3-70B": RIGHT | SEEN}},
            {},
            "lab: us.meta.llama3-3-70b-instruct-v1:0 twice",
        ),
        ({}, {"asOf": TOMORROW}, {}, f"lab: {LATER}"),
        ({}, {"source": ""}, {}, "lab: no source"),
        ({}, {"auth": "bearer"}, {}, "lab: no key variable"),
        ({}, {"keyVariable": "my-key"}, {}, "lab: my-key is no variable"),
        ({}, {"url": "https://x.example/v1/"}, {}, "lab: https://x.example/v1/ is no base URL"),
        ({}, {"url": "https://{who}.example"}, {}, "lab: https://{who}.example has a gap that nothing fills"),
        ({}, {"modelList": "models"}, {}, "lab: models does not stand after a base URL"),
        ({}, {"placeholder": "none yet"}, {}, "lab: a placeholder that names a URL or an id"),
        ({}, {"prices": "nobody"}, {}, "lab: the price list has no nobody"),
        ({}, {"regions": ["mars"]}, {}, "lab: no such region as mars"),
        ({}, {}, SEEN | {"asOf": TOMORROW}, f"llama-3.3-70b: {LATER}"),
        ({}, {}, {"source": "here"}, "llama-3.3-70b: a day without a source, or a source without a day"),
        ({}, {}, {"context": 1}, "llama-3.3-70b: facts of no day"),
        ({}, {}, {"placeholder": "none yet"}, "llama-3.3-70b: a placeholder that a host has an id for"),
    ],
)
def test_a_fault_gets_its_complaint(
    entry: dict[str, Any], host: dict[str, Any], family: dict[str, Any], complaint: str
):
    assert complaint in complaints(_catalog(entry, host, family), TODAY)


def test_what_has_retired_and_when():
    assert {
        f"{name}/{model}": entry.lifecycle.retired.isoformat()
        for name, host in load_catalog().hosts.items()
        for model, entry in host.models.items()
        if isinstance(entry.lifecycle, Retired)
    } == {
        "azure/llama-3.1-405b": "2026-06-13",
        "azure/llama-3.1-70b": "2026-06-13",
        "azure/llama-3.1-8b": "2026-06-13",
        "azure/llama-3.2-11b-vision": "2026-06-13",
        "azure/llama-3.2-90b-vision": "2026-06-13",
        "bedrock/llama-3.1-405b": "2026-07-07",
        "bedrock/llama-3.2-11b-vision": "2026-07-07",
        "bedrock/llama-3.2-1b": "2026-07-07",
        "bedrock/llama-3.2-3b": "2026-07-07",
        "bedrock/llama-3.2-90b-vision": "2026-07-07",
        "coreweave/llama-4-scout": "2026-04-22",
        "groq/llama-4-maverick": "2026-03-09",
        "groq/llama-4-scout": "2026-07-17",
        "together/llama-3.1-405b": "2026-04-24",
        "together/llama-3.1-70b": "2026-07-02",
        "together/llama-3.1-8b": "2026-04-07",
        "together/llama-4-maverick": "2026-07-02",
        "together/llama-4-scout": "2026-03-11",
    }


def test_what_is_restricted():
    assert [
        f"{name}/{model}"
        for name, host in load_catalog().hosts.items()
        for model, entry in host.models.items()
        if isinstance(entry.lifecycle, Restricted)
    ] == [
        "azure/llama-4-scout",
        "fireworks/llama-3.1-8b",
        "fireworks/llama-3.3-70b",
        "fireworks/llama-4-scout",
        "fireworks/llama-4-maverick",
        "groq/llama-3.1-8b",
        "groq/llama-3.3-70b",
    ]


def test_llama_3_3_on_bedrock_in_full():
    entry = load_catalog().hosts["bedrock"].models["llama-3.3-70b"]
    assert entry.model_dump(mode="json") == {
        "id": "us.meta.llama3-3-70b-instruct-v1:0",
        "context": 128000,
        "output": None,
        **dict.fromkeys(Takes.model_fields),
        "streaming": True,
        "tools": True,
        "tools_while_streaming": False,
        "vision": False,
        "lifecycle": "available",
        "callable_from": ["us-east-1", "us-east-2", "us-west-2"],
        "reaches": ["us-east-1", "us-east-2", "us-west-2"],
        "price": None,
        "verified": True,
        "as_of": "2026-08-20",
        "source": "awslabs/startups, ai-model-lifecycle.md; genai-prices 0.2.3",
    }


def test_azure_may_process_anywhere():
    reaches = [entry.reaches for entry in load_catalog().hosts["azure"].models.values()]
    assert reaches == [["global"]] * 8


def test_vllm_serves_models_under_their_own_names_and_no_llama_3_2_vision():
    assert {model: entry.id for model, entry in load_catalog().hosts["vllm"].models.items()} == {
        model: model
        for model, family in load_catalog().models.items()
        if family.placeholder is None and not model.endswith("-vision")
    }


def test_placeholders_have_no_id():
    catalog = load_catalog()
    assert [name for name, host in catalog.hosts.items() if host.placeholder] == ["meta"]
    assert [name for name, family in catalog.models.items() if family.placeholder] == ["llama-5"]
    assert catalog.hosts["meta"].models == {}
    assert catalog.hosts["openai"].models == {}


def test_no_region_lies_in_two_places():
    places = yaml.safe_load((DATA / "regions.yaml").read_text(encoding="utf-8"))
    regions = [region for place, within in places.items() for region in (place, *within)]
    assert sorted({region for region in regions if regions.count(region) > 1}) == []


def test_every_region_of_aws_is_known_and_no_other():
    partitions = Loader().load_data("partitions")["partitions"]
    aws = {
        region
        for partition in partitions
        if partition["id"] in ("aws", "aws-us-gov", "aws-cn", "aws-eusc")
        for region in partition["regions"]
        if not region.endswith("-global")
    }
    known = {region for region in load_catalog().places if re.fullmatch(r"[a-z]+(-[a-z]+)+-\d", region)}
    assert known == aws


def test_an_instance_type_has_one_kind_of_gpu():
    names = [name for gpu in load_catalog().gpus.values() for name in gpu.instances]
    assert sorted(names) == sorted(set(names))


def test_an_hour_costs_whole_micro_dollars():
    instances = load_catalog().gpus["L40S"].instances
    assert (instances["g6e.12xlarge"].count, instances["g6e.12xlarge"].hourly) == (4, 10_493_000)


def test_what_is_not_sold_on_demand_has_no_price():
    instances = [each for gpu in load_catalog().gpus.values() for each in gpu.instances.items()]
    assert [name for name, instance in instances if instance.hourly is None] == ["p5e.48xlarge"]


def test_every_model_that_vllm_serves_has_a_shape():
    catalog = load_catalog()
    assert [name for name in catalog.hosts["vllm"].models if catalog.models[name].shape is None] == []


def test_a_shape_divides_among_its_heads():
    shapes: list[Shape] = [family.shape for family in load_catalog().models.values() if family.shape]
    assert [shape for shape in shapes if shape.heads % shape.kv_heads] == []
