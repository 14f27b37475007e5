"""The corpus of stack files: what the language takes, and what it refuses, with every message compared whole.

A file in `stacks/invalid` starts with the messages it must get, in order, without the file's name:
`# want: :7 corral:hosts.bedrock.regoin: no such key: …`.  Every secret in it has NEVER in it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from corral.catalog.catalog import Catalog
from corral.catalog.load import load_catalog
from corral.config import yaml_tree
from corral.config.problems import ConfigError
from corral.config.read import read_stack

STACKS = Path(__file__).parents[1] / "stacks"
VALID = sorted((STACKS / "valid").glob("*.yaml"))
INVALID = sorted((STACKS / "invalid").glob("*.yaml"))
WANT = "# want: "


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", VALID, ids=name)
def test_a_valid_stack_is_read(path: Path, catalog: Catalog):
    assert read_stack(path, catalog).name == path.stem


@pytest.mark.parametrize("path", VALID, ids=name)
def test_a_valid_stack_is_read_with_the_catalog_of_this_release(path: Path):
    assert read_stack(path, load_catalog()).name == path.stem


@pytest.mark.parametrize("path", INVALID, ids=name)
@pytest.mark.parametrize("parser", [yaml.CSafeLoader, yaml.SafeLoader], ids=["libyaml", "PyYAML"])
def test_an_invalid_stack_gets_exactly_the_messages_it_names(
    path: Path, parser: type, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(yaml_tree, "LOADER", parser)
    lines = path.read_text(encoding="utf-8").splitlines()
    want = [line.removeprefix(WANT) for line in lines if line.startswith(WANT)]
    with pytest.raises(ConfigError) as refused:
        read_stack(path, catalog)
    got = [str(problem).removeprefix(str(path)) for problem in refused.value.problems]
    assert got == want
    assert "NEVER" not in str(refused.value)


def test_the_corpus_is_there():
    assert (len(VALID) >= 12, len(INVALID) >= 50) == (True, True)
