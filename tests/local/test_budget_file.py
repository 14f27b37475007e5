"""The file in which what tenants spend is kept: who has which place, and what becomes of a damaged one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from corral.local import budgets as module
from corral.local.budgets import Budgets, BudgetStatus, Spent, budget_status, spent
from corral.local.errors import EngineError
from corral.local.state_folder import StateFolder
from corral.plan.callers import Budget
from corral.plan.plan import Plan
from tests.plan.world import LLAMA, build

REAL: dict[str, str | None] = {"bedrock": None}
TODAY = date(2026, 11, 30)
RECORD = struct.Struct("=64s4q")


def plan(*tenants: str) -> Plan:
    budget = {"budget": {"day": 1}}
    declared = dict.fromkeys(tenants, budget) | {"free": {}}
    return build({LLAMA: {"shares": {"bedrock": 100}}}, tenants=declared)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / ".corral" / "prod")
    made.make()
    return made


def places(folder: StateFolder, *tenants: str, notices: list[str] | None = None) -> dict[str, int]:
    """Those of a run that begins with these tenants."""
    found = Budgets(folder, notices.append if notices is not None else pytest.fail).file(plan(*tenants), REAL)
    assert found
    assert found.path == folder.budgets
    return dict(found.places)


def write(folder: StateFolder, place: int, name: str, *numbers: int) -> None:
    with folder.budgets.open("r+b") as file:
        file.seek(place * RECORD.size)
        file.write(RECORD.pack(name.encode(), *numbers))


def numbers(of: date, day: int, month: int) -> tuple[int, int, int, int]:
    return (of - date(1970, 1, 1)).days, day, of.year * 12 + of.month - 1, month


def test_a_tenant_keeps_its_place_whoever_comes_and_goes(folder: StateFolder) -> None:
    assert places(folder, "b", "a") == {"a": 1, "b": 2}
    assert places(folder, "c") == {"c": 3}
    run = Budgets(folder, pytest.fail)
    for tenants, want in ((("b", "d"), {"b": 2, "d": 4}), (("a", "d"), {"a": 1, "d": 4})):
        found = run.file(plan(*tenants), REAL)
        assert found
        assert found.places == want
    assert folder.budgets.stat().st_mode & 0o777 == 0o600


def test_where_no_tenant_has_a_budget_there_is_no_file(folder: StateFolder) -> None:
    assert Budgets(folder, pytest.fail).file(plan(), REAL) is None
    assert not folder.budgets.exists()
    assert spent(folder.budgets, plan("a")) == {"a": Spent(0, 0)}


def test_what_was_spent_is_that_of_the_day_and_of_the_month(folder: StateFolder) -> None:
    places(folder, "search")
    write(folder, 1, "search", *numbers(TODAY, 3, 20))
    days = (TODAY, date(2026, 11, 29), date(2026, 12, 1))
    assert [spent(folder.budgets, plan("search"), day) for day in days] == [
        {"search": Spent(3, 20)},
        {"search": Spent(0, 20)},
        {"search": Spent(0, 0)},
    ]


def test_in_a_rehearsal_another_file_is_counted_in_and_beside_real_hosts_simulated_ones_are_free(
    folder: StateFolder,
) -> None:
    run = Budgets(folder, pytest.fail)
    rehearsed, mixed = run.file(plan("a"), {"bedrock": "asked for"}), run.file(plan("a"), {"x": "no key", "y": None})
    assert rehearsed
    assert mixed
    assert (rehearsed.path, rehearsed.free) == (folder.rehearsed_budgets, frozenset())
    assert (mixed.path, mixed.free) == (folder.budgets, {"x"})


def _tomorrow_s_month(folder: StateFolder) -> None:
    write(folder, 1, "a", *numbers(date(datetime.now(UTC).year + 1, 3, 1), 1, 1))


DAMAGES: list[tuple[str, Callable[[StateFolder], object], str]] = [
    (
        "cut off",
        lambda folder: folder.budgets.write_bytes(folder.budgets.read_bytes()[:100]),
        "has 100 bytes, not 393,216",
    ),
    ("empty", lambda folder: folder.budgets.write_bytes(b""), "has 0 bytes, not 393,216"),
    (
        "of another version",
        lambda folder: folder.budgets.write_bytes(folder.budgets.read_bytes().replace(b"budgets 1", b"budgets 2")),
        "does not begin as a file of budgets of this version",
    ),
    ("less than nothing", lambda folder: write(folder, 1, "a", 0, -1, 0, 0), "has a record that cannot be right"),
    ("in the future", _tomorrow_s_month, "has a record that cannot be right"),
    ("twice", lambda folder: write(folder, 2, "a", 0, 0, 0, 0), "has a record that cannot be right"),
    ("no name", lambda folder: write(folder, 2, "\x01", 0, 0, 0, 0), "has a record that cannot be right"),
]


@pytest.mark.parametrize(("damage", "why"), [case[1:] for case in DAMAGES], ids=[case[0] for case in DAMAGES])
def test_a_damaged_file_is_moved_aside_and_counting_begins_at_nothing(
    folder: StateFolder, damage: Callable[[StateFolder], object], why: str
) -> None:
    places(folder, "a")
    damage(folder)
    damaged, notices = folder.budgets.read_bytes(), list[str]()
    assert places(folder, "a", notices=notices) == {"a": 1}
    (aside,) = folder.root.glob("budgets.damaged-*")
    assert aside.read_bytes() == damaged
    began = "What tenants have spent of their budgets is counted from nothing; corral usage has it from the log."
    assert notices == [f"{folder.budgets} {why}: it was moved to {aside.name}. {began}"]
    assert spent(folder.budgets, plan("a")) == {"a": Spent(0, 0)}


def test_when_it_is_full_a_tenant_that_is_gone_and_has_spent_nothing_this_month_gives_its_place(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RECORDS", 3)
    run = Budgets(folder, pytest.fail)
    run.file(plan("a", "b"), REAL)
    today = datetime.now(UTC).date()
    write(folder, 1, "a", *numbers(today, 1, 1))
    write(folder, 2, "b", *numbers(date(2020, 1, 1), 1, 1))
    found = run.file(plan("a", "c"), REAL)
    assert found
    assert found.places == {"a": 1, "c": 2}
    assert spent(folder.budgets, plan("a", "c")) == {"a": Spent(1, 1), "c": Spent(0, 0)}
    write(folder, 2, "c", *numbers(today, 1, 1))
    with pytest.raises(EngineError) as refused:
        run.file(plan("d"), REAL)
    assert str(refused.value) == (
        f"{folder.budgets} has room for 2 tenants with a budget in a month, and no more: take the budget from some."
    )


def test_a_file_that_cannot_be_made_is_said_with_the_reason(folder: StateFolder) -> None:
    folder.budgets.mkdir()
    with pytest.raises(
        EngineError, match=r"budgets, where what tenants spend is kept, cannot be used: Is a directory\."
    ):
        Budgets(folder, pytest.fail).file(plan("a"), REAL)


def test_the_limits_of_a_plan_are_those_of_its_windows() -> None:
    both = Budget(day=3, month=40)
    assert (both.windows, replace(both, day=None).windows) == ((("day", 3), ("month", 40)), (("month", 40),))


def test_what_is_nearly_used_up_and_what_is_are_reported_once(folder: StateFolder) -> None:
    notices = list[str]()
    run = Budgets(folder, notices.append)
    declared = {"a": {"budget": {"day": 1, "month": 4}}, "b": {"budget": {"day": 1, "atLimit": "allow"}}, "free": {}}
    both = build({LLAMA: {"shares": {"bedrock": 100}}}, tenants=declared)
    run.file(both, REAL)
    today = datetime.now(UTC).date()
    write(folder, 1, "a", *numbers(today, 899_999_000_000, 899_999_000_000))
    for _ in range(2):
        run.report(both)
    assert notices == []
    write(folder, 1, "a", *numbers(today, 899_999_000_001, 899_999_000_001))
    write(folder, 2, "b", *numbers(today, 10**12, 10**12))
    for _ in range(2):
        run.report(both)
    assert notices == [
        "a has used 90% of its $1.00 of the day; requests beyond that are refused.",
        "b has used 90% of its $1.00 of the day; requests beyond that are served all the same.",
        "b has used 100% of its $1.00 of the day; requests beyond that are served all the same.",
    ]
    assert budget_status(folder.budgets, both) == (
        BudgetStatus("a", "day", 1_000_000, 900_000, refuses=True),
        BudgetStatus("a", "month", 4_000_000, 900_000, refuses=True),
        BudgetStatus("b", "day", 1_000_000, 1_000_000, refuses=False),
    )
