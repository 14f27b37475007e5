"""The JSON Schema for editors, held against the corpus: it takes what is valid, and refuses what one key can show."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.catalog.catalog import Catalog
from corral.catalog.load import load_catalog
from corral.catalog.units import Strict
from corral.config.problems import ConfigError, Report
from corral.config.read import stack_from_config
from corral.config.schema import default_sentence, docstrings, json_schema
from corral.config.yaml_tree import NotYamlError, parse, value_of

STACKS = Path(__file__).parents[1] / "stacks"


def plain(path: Path) -> Any:
    """The file as plain values; a mapping that YAML or its keys make impossible is left out."""
    try:
        root = parse(path.read_text(encoding="utf-8"))
    except NotYamlError:
        return None
    return value_of(root, (), Report("")) if root else None


@pytest.fixture(scope="module")
def validator(catalog: Catalog) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema(catalog))


def test_it_is_a_valid_schema(catalog: Catalog):
    jsonschema.Draft202012Validator.check_schema(json_schema(catalog))


@pytest.mark.parametrize("path", sorted((STACKS / "valid").glob("*.yaml")), ids=lambda path: path.stem)
def test_it_takes_every_valid_stack(path: Path, validator: jsonschema.Draft202012Validator):
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(plain(path))] == []


LEAVES = st.sampled_from([0, 1, 60, 0.5, True, "us", "30s", "900M", "10.0.0.1", "vllm", "groq", "openai", "available"])


@given(path=st.sampled_from(sorted((STACKS / "valid").glob("*.yaml"))), leaf=LEAVES, at=st.integers(0, 1_000))
def test_it_takes_whatever_reading_takes(
    path: Path, leaf: Any, at: int, catalog: Catalog, validator: jsonschema.Draft202012Validator
):
    config = plain(path)["config"]
    leaves = [place for place in places_of(config) if place[0].startswith("corral:") and place[0] != "corral:keys"]
    *around, last = leaves[at % len(leaves)]
    functools.reduce(lambda value, key: value[key], around, config)[last] = leaf
    try:
        stack_from_config(path.stem, config, catalog)
    except ConfigError:
        return
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors({"config": config})] == []


def places_of(value: Any, around: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all scalars."""
    match value:
        case dict():
            return [place for key, below in value.items() for place in places_of(below, (*around, key))]
        case list():
            return [place for key, below in enumerate(value) for place in places_of(below, (*around, key))]
        case _:
            return [around]


NEED_THE_WHOLE_STACK = {
    "least-shares",
    "mirror",
    "cluster-external-secrets-for-nothing",
    "cluster-prometheus-of-another",
    "secret-store-of-nobody",
    "azure-called-by-nobody", "azure-to-provision", "bedrock-endpoint-in-no-vpc", "cluster-in-another-partition",
    "cluster-without-a-region", "credentials-of-the-provider-alone", "fallback-twice", "gateway-allow-from",
    "gateway-in-the-open", "gateway-issuer", "gateway-versions-of-a-mirror", "gpus-alternatives",
    "host-not-declared", "issuers-without-tenants", "region-unknown", "registry-cache-elsewhere",
    "registry-unused-key", "shares-far-over-100", "shares-of-many-hosts", "shares-over-100", "shares-under-100",
    "secret-store", "secret-store-of-the-adapter",
    "tenants-claims", "tenants-known-twice", "yaml-duplicate-keys", "yaml-key-is-no-text", "yaml-merge-key",
}  # fmt: skip
"""What only reading the whole stack shows."""


def test_it_refuses_every_invalid_stack_but_those_that_need_the_whole_stack(
    validator: jsonschema.Draft202012Validator,
):
    taken = {path.stem for path in (STACKS / "invalid").glob("*.yaml") if validator.is_valid(plain(path))}
    assert taken == NEED_THE_WHOLE_STACK


def test_its_examples_are_valid(validator: jsonschema.Draft202012Validator):
    assert [validator.is_valid(example) for example in validator.schema["examples"]] == [True]  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]


FRAGMENT = re.compile(r"(Of|Its|At|As|Per|What|Whether|How|Whose|Likewise|None)\b")
"""How a description begins that has no subject."""


def keys_of(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schema of each key, by the part that has it."""
    parts = {**schema["$defs"], "config": schema["properties"]["config"]}
    return {f"{part}.{key}": below for part in parts for key, below in parts[part].get("properties", {}).items()}


def descriptions(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(description := schema.get("description"), str):
            yield description
        schema = list(schema.values())
    for below in schema if isinstance(schema, list) else ():
        yield from descriptions(below)


def test_it_describes_every_key(catalog: Catalog):
    assert [key for key, schema in keys_of(json_schema(catalog)).items() if not schema.get("description")] == []


def test_every_description_is_a_sentence():
    written = list(descriptions(json_schema(load_catalog())))
    assert len(written) > 200
    assert [text for text in written if FRAGMENT.match(text) or len(text.split()) < 4 or text[-1] != "."] == []


def test_a_default_is_written_as_in_a_stack_and_stands_in_the_description(catalog: Catalog):
    schema = json_schema(catalog)
    keys = {key: below for key, below in keys_of(schema).items() if "default" in below}
    assert keys["Engine.idleTimeout"]["default"] == "10m"
    assert [key for key, below in keys.items() if not below["description"].endswith(default_sentence(below))] == []
    valid = {key: jsonschema.Draft202012Validator({**below, "$defs": schema["$defs"]}) for key, below in keys.items()}
    assert [key for key, below in keys.items() if not valid[key].is_valid(below["default"])] == []


class Above(Strict):
    """Of the class, not of an attribute."""

    first: int
    """In the class above."""
    second: int
    """Told anew in the class below."""


class Below(Above):
    silent: int
    second: int
    """On two lines,
    of which the second is indented."""
    third: int

    """After an empty line."""


def test_each_attribute_has_the_text_below_it_its_own_or_an_inherited_one():
    assert docstrings(Below) == {
        "first": "In the class above.",
        "second": "On two lines, of which the second is indented.",
        "third": "After an empty line.",
    }
