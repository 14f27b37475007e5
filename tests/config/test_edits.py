"""An edit of models is read by itself, and what comes of it is what the whole file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.catalog.catalog import Catalog
from corral.config.edits import ReadStack, edited
from corral.config.problems import ConfigError
from corral.config.read import read_again

STACK = """\
encryptionsalt: v1:salt
config:
  # the hosts, à toutes les équipes
  corral:hosts:
    lab: {kind: openai, url: "https://lab.example.com/v1", models: {alpha: A, beta: B, gamma: G, delta: D}}
    spare: {kind: openai, url: "https://spare.example.com/v1", models: {alpha: A, beta: B, gamma: G, delta: D}}
  corral:models:
    # the first
    alpha:
      shares: {lab: 60, spare: 40}
    beta:
      shares:
        lab: 100
      fallback:
      - spare

      volume: |-
        900M
    "gamma": {shares: {lab: 30, spare: 70}, volume: 900M}   # quoted
    delta:
      shares:
        "lab": 50
        'spare': 50
  # behind the models
  corral:tenants:
    search: {models: [alpha, beta], tokensPerMinute: 200k}
"""
LAST = STACK.replace("config:\n", "config:\n  corral:tenants: {search: {}}\n").partition("  # behind")[0].rstrip("\n")
"""With its models at the end of the file, and no line's end there."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edits") / "Pulumi.test.yaml"


def whole(file: Path, text: str, catalog: Catalog) -> ReadStack | None:
    """What is read of the whole text; None: it is refused."""
    file.write_bytes(text.encode())
    try:
        return read_again(file, catalog)
    except ConfigError:
        return None


@pytest.mark.parametrize(
    ("former", "new"),
    [
        ("lab: 60, spare: 40", "lab: 70, spare: 30"),
        ("        lab: 100\n", "        lab: 100  # all of it\n"),
        ("volume: 900M}", "volume: 1B}"),
        ("    delta:", "    epsilon: {shares: {lab: 100}}\n    delta:"),
        ("'spare': 50", "'spare': 50\n      peak: {tokensPerMinute: 10k}"),
        ("    alpha:\n      shares: {lab: 60, spare: 40}\n", "    alpha: {shares: {lab: 100}}\n"),
    ],
)
@pytest.mark.parametrize("text", [STACK, LAST])
def test_an_edit_of_models_is_read_without_the_rest(
    file: Path, catalog: Catalog, text: str, former: str, new: str
) -> None:
    hosts = text.replace("delta: D}", "delta: D, epsilon: E}")
    before, after = whole(file, hosts, catalog), hosts.replace(former, new)
    assert before
    assert after != hosts
    assert (now := edited(before, after, catalog))
    assert now == whole(file, after, catalog)
    untouched = before.stack.models["beta"] if "100" not in former else before.stack.models["alpha"]
    assert any(model is untouched for model in now.stack.models.values())


PIECES = (
    "", " ", "  ", "    ", "\n", "\r", "\t", "#", "...\n", "---\n", "%YAML 1.1\n", "- ", "? ", ": ", "|\n", '"', "'",
    "{", "}", "]", "&a ", "*a", "!!str ", "\u2028", "\x85", "10", "lab", "alpha", "    beta:\n",
    "    epsilon:\n      shares: {lab: 100}\n", "      shares: {lab: 100}\n", "        spare: 0\n",
    "  corral:accept: []\n", "config:\n", "    # note\n", "\n# note\n",
)  # fmt: skip


@given(
    text=st.sampled_from((STACK, LAST)),
    at=st.floats(0, 1),
    cut=st.one_of(st.integers(0, 4), st.integers(0, 120)),
    pieces=st.lists(st.sampled_from(PIECES), max_size=2),
)
def test_whatever_is_edited_is_read_as_the_whole_file_says(
    file: Path, catalog: Catalog, text: str, at: float, cut: int, pieces: list[str]
) -> None:
    before = whole(file, text, catalog)
    assert before
    place = round(at * len(text))
    after = text[:place] + "".join(pieces) + text[place + cut :]
    now = edited(before, after, catalog)
    assert now is None or now == whole(file, after, catalog)
    assert now is None or [*now.stack.models] == [*(whole(file, after, catalog) or before).stack.models]
