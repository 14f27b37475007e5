"""`corral prices`: what is missing is added, what is of the lists is brought up to date, what is one's own stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from corral.config.prices import FILE, read_prices
from tests.cli.conftest import Corral

TURBO = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
OWN = f"""\
tokens:
  groq: {{groq-m: {{input: 1, output: 2, source: our contract, asOf: 2026-11-30, reviewBy: 2099-01-01}}}}
  deepinfra: {{{TURBO}: {{input: 9, output: 9, source: "catalog: x", asOf: 2026-07-02, reviewBy: 2099-01-01}}}}
"""


@pytest.fixture
def lock(project: Path) -> Path:
    return project / "stacks" / FILE


def test_a_lock_is_written_and_every_price_comes_from_it(corral: Corral, lock: Path):
    assert "\nnote prices: " in corral("plan").out
    first = corral("prices", "lock")
    assert (first.status, first.out.endswith(f" prices added to stacks/{FILE}: commit it\n")) == (0, True)
    assert corral("prices", "lock").out == f"stacks/{FILE} has all that are known\n"
    planned = corral("plan").out
    assert "note prices: " not in planned
    assert "deepinfra   100%    $0.13    $0.40" in planned
    lock.write_text("tokens: {}\n")
    assert "deepinfra   100%  unknown  unknown" in corral("plan").out


def test_lock_adds_what_is_missing_and_changes_nothing_else(corral: Corral, lock: Path):
    lock.write_text(OWN)
    corral("prices", "lock")
    prices = read_prices(lock.parent)
    assert prices
    found = [prices.token("groq", "groq-m"), prices.token("deepinfra", TURBO)]
    assert [(each.input, each.source) for each in found if each] == [
        (1_000_000, "our contract"),
        (9_000_000, "catalog: x"),
    ]
    assert prices.hour("us-east-1", "g6e.12xlarge")


def test_refresh_says_what_changes_for_each_stack_and_leaves_ones_own(corral: Corral, lock: Path):
    (lock.parent / "Pulumi.prod.yaml").write_text(
        "config:\n  corral:hosts: {deepinfra: {}}\n"
        "  corral:models: {llama-3.3-70b: {shares: {deepinfra: 100}, volume: 1B}}\n"
    )
    lock.write_text(OWN)
    said = corral("prices", "refresh", "--dry-run")
    lines = said.out.splitlines()
    assert said.status == 0
    assert f"deepinfra {TURBO}: $9.00 in, $9.00 out → $0.13 in, $0.40 out" in lines
    assert not [line for line in lines if line.startswith("groq groq-m")]
    assert lines[-1] == ("prod: $9,000.00 a month for tokens → $130.00 to $400.00 a month for tokens")
    assert lock.read_text() == OWN
    assert corral("prices", "refresh").out == said.out
    assert lines[-1].startswith("prod")
    assert corral("prices", "refresh").out.splitlines()[-1] == "prod: $130.00 to $400.00 a month for tokens, as before"


def test_a_lock_that_cannot_be_read_is_said_where(corral: Corral, lock: Path):
    lock.write_text("tokens: {groq: {x: {input: cheap, output: 1}}}\n")
    said = corral("plan")
    assert said.status == 2
    assert f'stacks/{FILE}:1 tokens.groq.x.input: "cheap" is not a price' in said.err


def test_an_unreadable_stack_holds_back_no_prices(corral: Corral, lock: Path):
    (lock.parent / "Pulumi.prod.yaml").write_text("config: {}\n")
    said = corral("prices", "lock")
    assert (said.status, lock.exists()) == (0, True)
    assert "Pulumi.prod.yaml cannot be read and is left out: " in said.err
