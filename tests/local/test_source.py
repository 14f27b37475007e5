"""What a run follows: the stack file, and what its plan is made of beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from corral.cli.project import load_servable
from corral.config.prices import FILE as PRICES
from corral.local.placement import Address
from corral.local.source import Source
from corral.repository import NoRevisionError

STACK = """\
config:
  corral:hosts:
    lab: {kind: openai, url: "http://127.0.0.1:9/v1", auth: none, models: {m: its-m}}
  corral:models: {m: {shares: {lab: 100}}}
  corral:tenants: {search: {}}
  corral:issuers: [{issuer: "https://id", audiences: [corral], jwksFile: keys.json}]
"""


def _no_git(*_: object) -> None:
    raise NoRevisionError


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr("corral.repository._git", _no_git)
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text(STACK)
    (tmp_path / "keys.json").write_text('{"keys": []}')
    return Source(tmp_path, file, lambda: load_servable(file), {})


def test_prices_that_change_are_another_plan(source: Source):
    (before,) = source.read(None).plan.models
    assert (before.targets[0].price, source.text() == source.last_read) == (None, True)
    price = '{input: 1, output: 2, source: "a list", asOf: 2026-11-30, reviewBy: 2027-11-30}'
    (source.file.parent / PRICES).write_text(f"tokens: {{openai: {{its-m: {price}}}}}\n")
    assert source.text() != source.last_read
    (after,) = source.read(None).plan.models
    assert after.targets[0].price
    assert (after.targets[0].price.input, source.text() == source.last_read) == (1_000_000, True)


def test_public_keys_that_change_are_asked_for_anew(source: Source):
    before = source.read(None)
    assert before.public_keys == {"https://id": '{"keys": []}'}
    (source.file.parent / "keys.json").write_text('{"keys": [{}]}')
    assert source.text() != source.last_read
    after = source.read(None)
    assert (after.public_keys, after == before) == ({"https://id": '{"keys": [{}]}'}, False)


def test_another_authority_of_a_host_gives_it_another_cluster(source: Source):
    url = '"http://127.0.0.1:9/v1"'
    source.file.write_text(STACK.replace(url, '"https://127.0.0.1:9/v1", ca: lab.pem'))
    adapter, names = Address(9, "a token"), list[str]()
    for content in ("one", "another", "another"):
        (source.file.parent / "lab.pem").write_text(content)
        assert (source.text() == source.last_read) == (content in names)
        names += [source.read(None).upstreams(9, adapter)["lab"].name, content]
    assert names[0] != names[2] == names[4]


def test_a_stack_file_that_is_about_to_be_replaced_has_no_text(source: Source):
    source.file.unlink()
    assert source.text() is None
