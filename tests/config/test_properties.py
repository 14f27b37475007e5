"""Whatever the text: a stack or `ConfigError`, in sentences of our own, and nothing of a secret."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from corral.catalog.catalog import Catalog
from corral.config.problems import ConfigError
from corral.config.read import read_stack, stack_from_config
from corral.config.stack_file import PARTS

VALID = [path.read_text() for path in sorted((Path(__file__).parents[1] / "stacks" / "valid").glob("*.yaml"))]

UNTRANSLATED = "is not valid here"
"""What is said of a kind of error that has no sentence yet."""


def problems_of(text: str, catalog: Catalog) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Pulumi.prod.yaml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            read_stack(path, catalog)
        except ConfigError as refused:
            return [str(problem).replace(folder, "") for problem in refused.problems]
        return []


def untranslated(problems: list[str]) -> list[str]:
    """Those that are not one printable line in our own words."""
    return [problem for problem in problems if UNTRANSLATED in problem or not problem.isprintable()]


PIECES = st.sampled_from(
    [
        *("\n", "\t", "  ", "{", "}", "[", "]", ": ", ":", "- ", ", ", "'", '"', "#", "? ", "|\n"),
        *("%", "@", "\\", "\r", "&a ", "*a", "<<: ", "!!str ", "---\n", "...\n"),
        *("~", "null", "true", "0x1", "60", "-1", "1e9"),
        *("config:", "corral:hosts:", "corral:keys:", "secure: x", "kind: vllm", "shares: {bedrock: 100}"),
        *("\x00", "\ufeff", "\u2028", "\ud800", "é", "\u202e"),
    ]
)


@st.composite
def mutated_stacks(draw: st.DrawFn) -> str:
    """A valid stack with a few pieces cut, doubled or put in."""
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        middle = draw(st.one_of(PIECES, st.just(text[start:end] * 2), st.text(max_size=5)))
        text = text[:start] + middle + text[end:]
    return text


@given(text=st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join), mutated_stacks()))
@example(text='config: {"\\ud800": 1, "\\UFFFFFFFF": 2}')
def test_any_text_is_a_stack_or_refused_in_plain_sentences(text: str, catalog: Catalog):
    assert untranslated(problems_of(text, catalog)) == []


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.sampled_from(["bedrock", "us", "60"])
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("bedrock", "azure", "vllm", "lab", "kind", "url", "keyVariable", "gpus", "instance", "min", "max"),
            *("models", "modelWeights", "capacity", "id", "price", "input", "output", "lifecycle", "retired"),
            *("llama-3.3-70b", "shares", "fallback", "residency", "volume"),
            *("secure", "[key]", "<bedrock>", "<more>"),
        ]
    ),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(NAMES, below, max_size=4)),
    max_leaves=20,
)
CONFIG_KEYS = st.sampled_from([f"corral:{part}" for part in (*PARTS, "name", "weather")])


@example(config={}, below={"0\x1f": None}, name="0")
@given(config=st.dictionaries(CONFIG_KEYS, VALUES, max_size=6), below=VALUES, name=NAMES)
def test_any_values_from_pulumi_are_a_stack_or_refused_in_plain_sentences(
    config: dict[str, Any], below: Any, name: str, catalog: Catalog
):
    nearly: dict[str, Any] = {
        "corral:hosts": {"bedrock": {}, "lab": below, "vllm": {"gpus": below}, "groq": {"models": {"house": below}}},
        "corral:models": {"llama-3.3-70b": {"shares": {"bedrock": 100}, "volume": below}, "house": below},
    }
    named: dict[str, Any] = {
        "corral:engine": {"kind": "kubernetes"},
        "corral:hosts": {"azure": {}, name: below},
        "corral:models": {name: {"shares": {"azure": 100, name: 100}, "fallback": [name, name], "residency": [name]}},
        "corral:keys": {name: below},
    }
    for values in (config, nearly | config, nearly, named, named | config):
        problems: list[str] = []
        try:
            stack_from_config("prod", values, catalog)
        except ConfigError as refused:
            problems = [str(problem) for problem in refused.problems]
        assert untranslated(problems) == []


KEYS = [
    *("{s}", "'{s}'", "[{s}]", "0x{s}", "{s}: {s}", "{{{s}: 1}}", "{{{s}: 1, {s}: 2}}"),
    *("{s}\n  {s}", "|\n        {s}\n"),
    *("{{secure: {s}}}", "{{secure: [{s}]}}", "{{secure: {s}, secure: {s}}}", "{{secure: &a {s}, secure: *a}}"),
    *("*{s}", "&{s} x", "!{s} x", "!!{s} x", "!{s}!x", "<<: {s}", "? {s}", "- {s}"),
    *("{{ {s}", "[ {s}", "'{s}", '"\\{s}"', "@{s}", "`{s}", "%{s}", "{s}\n\t{s}", "\x07{s}"),
]
"""What may stand in the place of a key, a good deal of it no YAML; {s} is the secret."""


@st.composite
def keys_with_a_secret(draw: st.DrawFn) -> tuple[str, str]:
    secret = draw(st.from_regex(r"[a-zA-Z0-9]{12,20}", fullmatch=True))
    key = draw(st.sampled_from(KEYS)).format(s=secret)
    hosts = ["bedrock", "deepinfra", "groq", "labb", "nowhere", "8", secret, f"sk-{secret}", "<<", "[x]"]
    host = draw(st.sampled_from(hosts))
    shapes = ["\n    {h}: {k}\n", " {{{h}: {k}}}\n", " {k}\n", "\n    {h}: {k}\n    {h}: {k}\n"]
    return draw(st.sampled_from(shapes)).format(h=host, k=key), secret


@given(keys=keys_with_a_secret(), first=st.booleans())
def test_no_message_shows_anything_below_keys(keys: tuple[str, str], first: bool, catalog: Catalog):
    below, secret = keys
    rest = "  corral:hosts: {bedrock: {}, groq: {}, lab: {kind: groq}}\n  corral:models: {}\n"
    ours = f"  corral:keys:{below}"
    problems = problems_of(f"config:\n{ours}{rest}" if first else f"config:\n{rest}{ours}", catalog)
    assert problems != []
    assert [problem for problem in problems if secret in problem] == []


PLACES = [
    *("hosts: {s}", "hosts: {{bedrock: {s}}}", "hosts: {{bedrock: {{region: {s}}}}}", "hosts: {{groq: {{url: {s}}}}}"),
    *("hosts: {{groq: {{models: {s}}}}}", "hosts: {{vllm: {{modelWeights: {s}}}}}", "hosts: {{vllm: {{gpus: {s}}}}}"),
    *("models: {s}", "models: {{house: {s}}}", "models: {{house: {{shares: {s}}}}}"),
    *("models: {{house: {{volume: {s}}}}}", "models: {{house: {{fallback: [{s}]}}}}"),
    *("engine: {s}", "engine: {{port: {s}}}", "accept: [{s}]", "residency: {s}"),
]


@given(place=st.sampled_from(PLACES), secret=st.from_regex(r"v1:[a-zA-Z0-9+/]{12,20}", fullmatch=True))
def test_an_encrypted_value_anywhere_else_is_refused_and_not_shown(place: str, secret: str, catalog: Catalog):
    encrypted = f"{{secure: '{secret}'}}"
    text = f"config:\n  corral:{place.format(s=encrypted)}\n"
    problems = problems_of(text, catalog)
    assert [problem for problem in problems if "is encrypted" in problem] != []
    assert [problem for problem in problems if secret in problem] == []


def test_a_stack_may_be_written_as_json(catalog: Catalog):
    config = {"corral:hosts": {"bedrock": {}}, "corral:models": {"llama-3.3-70b": {"shares": {"bedrock": 100}}}}
    assert problems_of(json.dumps({"config": config}), catalog) == []
