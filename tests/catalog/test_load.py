from importlib.resources.abc import Traversable

import pytest
import yaml

from corral.catalog.catalog import Catalog
from corral.catalog.load import DATA, load_catalog


def test_the_catalog_has_every_host():
    assert sorted(load_catalog().hosts) == [
        "azure",
        "bedrock",
        "coreweave",
        "deepinfra",
        "fireworks",
        "groq",
        "meta",
        "openai",
        "replicate",
        "together",
        "vllm",
    ]


def test_the_catalog_has_every_model():
    assert sorted(load_catalog().models) == [
        "llama-3.1-405b",
        "llama-3.1-70b",
        "llama-3.1-8b",
        "llama-3.2-11b-vision",
        "llama-3.2-1b",
        "llama-3.2-3b",
        "llama-3.2-90b-vision",
        "llama-3.3-70b",
        "llama-4-maverick",
        "llama-4-scout",
        "llama-5",
    ]


def test_the_catalog_is_read_once():
    assert load_catalog() is load_catalog()


@pytest.mark.parametrize(
    ("region", "place"),
    [
        ("us-east-1", "us"),
        ("us-gov-west-1", "us"),
        ("eastus2", "us"),
        ("eu-central-1", "eu"),
        ("westeurope", "eu"),
        ("eu-west-2", "uk"),
        ("uksouth", "uk"),
        ("eu-central-2", "ch"),
        ("switzerlandnorth", "ch"),
        ("norwayeast", "norway"),
        ("ca-central-1", "ca"),
        ("eu", "eu"),
        ("us", "us"),
        ("global", None),
        ("eu-nowhere-1", None),
    ],
)
def test_a_region_lies_in_its_place_and_a_place_in_itself(region: str, place: str | None):
    assert load_catalog().places.get(region) == place


DATA_FILES = [
    DATA / "models.yaml",
    DATA / "regions.yaml",
    DATA / "gpus.yaml",
    *sorted(DATA.joinpath("hosts").iterdir(), key=lambda file: file.name),
]


@pytest.mark.parametrize("file", DATA_FILES, ids=lambda file: file.name)
def test_no_data_file_repeats_a_key(file: Traversable):
    assert _repeated_keys(file.read_text(encoding="utf-8")) == []


def test_a_repeated_key_is_noticed():
    assert _repeated_keys("a: {b: 1, b: 2}\nc: 3\nc: 4\n") == ["b", "c"]


def _repeated_keys(text: str) -> list[str]:
    twice: list[str] = []
    waiting = [yaml.compose(text, Loader=yaml.SafeLoader)]
    while waiting:
        match waiting.pop():
            case yaml.MappingNode() as mapping:
                keys = [key.value for key, _ in mapping.value]
                twice += {key for key in keys if keys.count(key) > 1}
                waiting += [value for _, value in mapping.value]
            case yaml.SequenceNode() as sequence:
                waiting += sequence.value
            case _:
                pass
    return sorted(twice)


ENTRY = {"id": "x", "asOf": "2026-07-06", "source": "here"}
HOST = {"title": "x", "auth": "none", "asOf": "2026-07-06", "source": "here"}


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "x", "source": "here"},
        {"id": "x", "asOf": "2026-07-06"},
        {"asOf": "2026-07-06", "source": "here"},
        ENTRY | {"lifecycle": {"retired": None}},
        ENTRY | {"lifecycle": "retired"},
        ENTRY | {"lifecycle": {"restricted": None}},
        ENTRY | {"contxt": 1},
        ENTRY | {"tools": "yes"},
    ],
    ids=str,
)
def test_an_entry_that_lacks_its_day_source_id_or_sense_is_not_read(entry: dict[str, object]):
    catalog = {"models": {}, "places": {}}
    Catalog.model_validate(catalog | {"hosts": {"x": HOST | {"models": {"m": ENTRY}}}})
    with pytest.raises(ValueError, match="validation error"):
        Catalog.model_validate(catalog | {"hosts": {"x": HOST | {"models": {"m": entry}}}})
