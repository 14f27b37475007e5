"""What must be true of every stack in `stacks/`, whatever it says; checked before each preview and each deployment.

It takes seconds, and needs no engine, no account and no network.  Add what must be true of yours: for instance
`assert processed_outside(read_plan(file), "eu") == []`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corral.testing import any_shares, errors, read_plan, run_stack, stack_schema, touched_besides_routes

STACKS = Path(__file__).parents[1] / "stacks"

every_stack = pytest.mark.parametrize("file", sorted(STACKS.glob("Pulumi.*.yaml")), ids=lambda file: file.stem)


@every_stack
def test_nothing_speaks_against_deploying_it(file: Path):
    assert errors(file) == []


@every_stack
def test_its_program_runs_on_mocks(file: Path):
    """Every manifest fits its schema, every resource has its parent, and no secret stands in the open."""
    run_stack(file)


@every_stack
@pytest.mark.parametrize("seed", range(3))
def test_any_edit_of_its_shares_touches_routes_alone(file: Path, seed: int):
    assert touched_besides_routes(file, any_shares(read_plan(file), seed)) == []


def test_editors_read_the_schema_of_this_version():
    assert json.loads((STACKS / "schema.json").read_text()) == stack_schema(), "write it anew: corral schema"
