"""A share edit in the text of a stack file, and the configuration as Pulumi hands it to a program."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.config.stack_file import plain_values, with_keys, with_shares

EXAMPLES = Path(__file__).parents[1] / "stacks" / "examples"

FILE = """\
# Shares of the stack «été», edited often.
config:
  aws:region: us-east-1
  corral:models:
    m:
      shares: {groq: 60, deepinfra: 40}   # together 100, as groq: 60 says
      fallback: [lab]
    "n":
      shares:
        groq: 5      # five
        'lab': 95
  corral:hosts: {groq: {}, deepinfra: {}}
secretsprovider: passphrase
"""


def test_the_numbers_change_and_nothing_else_does():
    edited = with_shares(FILE, {"m": {"groq": 0, "deepinfra": 100}, "n": {"lab": 7}})
    assert edited == (
        FILE.replace("{groq: 60, deepinfra: 40}", "{groq: 0, deepinfra: 100}").replace("'lab': 95", "'lab': 7")
    )


@pytest.mark.parametrize(
    ("text", "shares"),
    [(FILE, {"o": {"groq": 1}}), (FILE, {"m": {"lab": 1}}), ("config: {}", {"m": {}}), ("", {"m": {}})],
)
def test_what_is_not_in_the_file_cannot_be_edited(text: str, shares: dict[str, dict[str, int]]):
    with pytest.raises(KeyError):
        with_shares(text, shares)


def test_keys_are_put_in_front_of_others_and_nothing_else_changes():
    text = (
        FILE.removesuffix("secretsprovider: passphrase\n")
        + """\
  corral:ramps:
    m: {to: {groq: 80}} # soon
    "n": # later
      # in one step
      step: 90
      to: {groq: 95}
"""
    )
    keys = {"paused": 'errors: 5% "of" été', "from": {"groq": 60, "deepinfra": 40}}
    paused, start = r'paused: "errors: 5% \"of\" été"', "from: {groq: 60, deepinfra: 40}"
    place = "corral:ramps"
    assert with_keys(text, (place, "m"), keys) == text.replace("{to: {groq: 80", f"{{{paused}, {start}, to: {{groq: 80")
    assert with_keys(text, (place, "n"), keys) == text.replace("step: 90", f"{paused}\n      {start}\n      step: 90")
    with pytest.raises(KeyError):
        with_keys(text, (place, "o"), keys)


@given(first=st.integers(0, 100), again=st.integers(0, 100))
def test_an_edit_replaces_the_one_before(first: int, again: int):
    once = with_shares(FILE, {"m": {"groq": first, "deepinfra": 100 - first}})
    twice = with_shares(once, {"m": {"groq": again, "deepinfra": 100 - again}})
    assert twice == with_shares(FILE, {"m": {"groq": again, "deepinfra": 100 - again}})
    assert with_shares(twice, {"m": {"groq": 60, "deepinfra": 40}}) == FILE


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("Pulumi.*.yaml")), ids=lambda path: path.stem)
def test_an_edited_example_is_read_with_the_new_shares(file: Path, tmp_path: Path):
    catalog = load_catalog()
    models = read_stack(file, catalog).models
    hosts = {name: list(model.shares) for name, model in models.items()}
    wanted = {name: {host: 100 * (host == of_model[0]) for host in of_model} for name, of_model in hosts.items()}
    copy = tmp_path / file.name
    copy.write_text(with_shares(file.read_text(), wanted))
    assert {name: model.shares for name, model in read_stack(copy, catalog).models.items()} == wanted


TEXTS = {
    "aws:region": "us-east-1",
    "aws:profile": "staging",
    "corral:hosts": '{"bedrock": {}}',
    "corral:accept": "[]",
    "corral:engine": "kubernetes",
    "corral:models": '{"llama-3.3-70b": {"shares": {"bedrock": "NEVER"}}}',
    "corral:keys": '{"lab": "NEVER"}',
    "corral:tenantKeys": '{"search": "NEVER"}',
    "other:thing": "1",
}


def test_objects_are_read_texts_stay_and_whatever_is_secret_is_left_out():
    assert plain_values(TEXTS.get, {"corral:models", "corral:keys", "corral:tenantKeys"}.__contains__) == {
        "aws:region": "us-east-1",
        "aws:profile": "staging",
        "corral:hosts": {"bedrock": {}},
        "corral:accept": [],
        "corral:engine": "kubernetes",
    }


def test_keys_are_left_out_whatever_pulumi_says_of_them():
    assert not plain_values(TEXTS.get, lambda _: False).keys() & {"corral:keys", "corral:tenantKeys"}
