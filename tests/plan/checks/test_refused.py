"""The stacks in `tests/stacks/refused` parse, and their plan is refused.

Each names in its first lines the errors that the checks must find: all of them, no other, in order.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.plan.build import build
from corral.plan.checks.run import check
from tests.plan.world import TODAY

REFUSED = sorted(Path(__file__).parents[2].glob("stacks/refused/*.yaml"))

_WANT = "# want: "


def errors(file: Path) -> list[str]:
    catalog = load_catalog()
    plan = build(read_stack(file, catalog), catalog)
    return [f"{found.name}: {found.message}" for found in check(plan, TODAY) if found.level == "error"]


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.stem)
def test_a_refused_stack_gets_the_errors_that_it_names(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    want = [line.removeprefix(_WANT) for line in lines if line.startswith(_WANT)]
    assert want, f"{file} names no error"
    assert errors(file) == want
