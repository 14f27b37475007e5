"""The same stack through Pulumi's configuration: plain objects with sorted keys, as `require_object` gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corral.catalog.catalog import Catalog
from corral.config.problems import ConfigError, Report
from corral.config.read import read_stack, stack_from_config
from corral.config.stack_file import read_config

STACKS = Path(__file__).parents[1] / "stacks"


def as_pulumi_gives_it(path: Path) -> dict[str, Any]:
    """The file's config through JSON with sorted keys, without the encrypted keys."""
    config = read_config(path, Report(""))
    ours = {key: value for key, value in config.items() if key.startswith(("corral:", "aws:region"))}
    ours.pop("corral:keys", None)
    return json.loads(json.dumps(ours, sort_keys=True))


@pytest.mark.parametrize("path", sorted((STACKS / "valid").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_stack_is_the_same_from_its_file_and_from_pulumi(path: Path, catalog: Catalog):
    values = as_pulumi_gives_it(path)
    from_file = read_stack(path, catalog)
    assert stack_from_config(path.stem, values, catalog, path) == from_file
    without_keys = from_file.model_copy(update={"keys": {}})
    assert stack_from_config(path.stem, values, catalog) == without_keys


SOURCE = """\
config:
  corral:hosts: {vllm: {}, bedrock: {}, groq: {}}
  corral:models:
    llama-3.3-70b:
      shares: {vllm: 60, bedrock: 30, groq: 20}
      fallback: [lab]
  corral:weather: sunny
  corral:keys: {groq: gsk_NEVER}
"""
VALUES: dict[str, Any] = {
    "corral:hosts": {"bedrock": {}, "groq": {}, "vllm": {}},
    "corral:models": {"llama-3.3-70b": {"fallback": ["lab"], "shares": {"bedrock": 30, "groq": 20, "vllm": 60}}},
}


def messages(error: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    return [str(problem) for problem in error.value.problems]


def test_errors_are_the_same_from_pulumi_as_from_the_file(tmp_path: Path, catalog: Catalog):
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(SOURCE)
    with pytest.raises(ConfigError) as from_file:
        read_stack(path, catalog)
    with pytest.raises(ConfigError) as from_pulumi:
        stack_from_config("prod", VALUES, catalog, path)
    assert messages(from_pulumi) == messages(from_file)
    assert len(messages(from_file)) == 4


@pytest.mark.parametrize("source", [None, Path("nowhere/Pulumi.prod.yaml")])
def test_errors_without_a_file_have_no_line(source: Path | None, catalog: Catalog):
    with pytest.raises(ConfigError) as refused:
        stack_from_config("prod", VALUES, catalog, source)
    file, model = source or "Pulumi.prod.yaml", "corral:models.llama-3.3-70b"
    assert messages(refused) == [
        f"{file} {model}.fallback[0]: no such host under corral:hosts: valid are bedrock, groq, vllm",
        f"{file} {model}.shares: 30 + 20 + 60 = 110, must be 100: take 10 from bedrock, groq or vllm",
    ]


def test_a_day_without_quotes_becomes_a_point_in_time_in_pulumi_and_a_day_again_here(catalog: Catalog):
    values = {
        "corral:hosts": {"groq": {"models": {"llama-3.3-70b": {"lifecycle": {"retired": "2026-08-16T00:00:00Z"}}}}},
        "corral:models": {"llama-3.3-70b": {"shares": {"groq": 100}}},
    }
    model = stack_from_config("prod", values, catalog).hosts["groq"].models["llama-3.3-70b"]
    assert json.loads(model.model_dump_json(exclude_none=True)) == {"lifecycle": {"retired": "2026-08-16"}}  # pyright: ignore[reportAttributeAccessIssue]


def test_a_decrypted_key_is_refused_and_not_shown(catalog: Catalog):
    values = {
        "corral:hosts": {"groq": {}},
        "corral:models": {"llama-3.3-70b": {"shares": {"groq": 100}}},
        "corral:keys": {"groq": "gsk_NEVER"},
    }
    with pytest.raises(ConfigError) as refused:
        stack_from_config("prod", values, catalog)
    assert str(refused.value) == (
        "Pulumi.prod.yaml corral:keys.groq: stands here in plain text, so take it for leaked: get a new one from the "
        "host and encrypt it: `pulumi config set --secret --path 'corral:keys.groq' -s prod` "
        "(the local engine takes it from GROQ_API_KEY)"
    )


def test_values_that_are_no_plain_data_are_refused(catalog: Catalog):
    nested: Any = []
    for _ in range(500):
        nested = [nested]
    values = {"corral:hosts": {"groq": object()}, "corral:models": object(), "corral:accept": nested}
    example = "{llama-3.3-70b: {shares: {bedrock: 100}}}"
    with pytest.raises(ConfigError) as refused:
        stack_from_config("prod", values, catalog)
    assert messages(refused) == [
        "Pulumi.prod.yaml corral:accept: is nested deeper than 32 levels",
        "Pulumi.prod.yaml corral:hosts.groq: must be a mapping, not something else",
        f"Pulumi.prod.yaml corral:models: must be a mapping, for instance {example}, not something else",
    ]
