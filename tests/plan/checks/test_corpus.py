"""The stacks in `tests/stacks/refused` and `tests/stacks/warned` parse, and the checks find errors, or only warnings.

Each names in its first lines what they must find: all errors, or all warnings, no other, in order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.plan.build import build
from corral.plan.checks.run import check
from tests.plan.world import TODAY

STACKS = Path(__file__).parents[2] / "stacks"
REFUSED, WARNED = (sorted(STACKS.glob(f"{folder}/*.yaml")) for folder in ("refused", "warned"))

_WANT = "# want: "


def wanted(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(_WANT) for line in lines if line.startswith(_WANT)]


def findings(file: Path, *levels: Literal["error", "warning"]) -> list[str]:
    catalog = load_catalog()
    plan = build(read_stack(file, catalog), catalog)
    return [f"{each.name}: {each.message}" for each in check(plan, TODAY) if each.level in levels]


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.stem)
def test_a_refused_stack_gets_the_errors_that_it_names(file: Path) -> None:
    assert wanted(file)
    assert findings(file, "error") == wanted(file)


@pytest.mark.parametrize("file", WARNED, ids=lambda file: file.stem)
def test_a_stack_that_is_warned_of_gets_the_warnings_that_it_names(file: Path) -> None:
    assert wanted(file)
    assert findings(file, "error", "warning") == wanted(file)
