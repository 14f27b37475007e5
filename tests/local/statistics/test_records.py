"""What a run keeps of its requests, and what it says when it cannot."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from corral.local.errors import EngineError
from corral.local.state_folder import StateFolder
from corral.local.statistics.cost import read_tariffs, tariff
from corral.local.statistics.request_log import Reading, Records, Window
from corral.plan.plan import Plan
from tests.local.statistics.log_lines import line, log
from tests.plan.world import LLAMA, build

PLAN = build({LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40}}})
DEARER = build(
    {LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40}}},
    {"deepinfra": {"models": {LLAMA: {"id": "x", "price": {"input": 9, "output": 9}}}}},
)


class Run:
    """The records of a run, and what was said."""

    def __init__(self, project: Path) -> None:
        self.folder = StateFolder.of(project, "prod")
        self.notes: list[str] = []
        self.records = Records(self.folder, self.notes.append)

    def in_force(self, plan: Plan = PLAN, *simulated: str, days: int = 30) -> None:
        """A plan comes into force; `simulated` are its hosts that are not real."""
        why = {host: "asked for" if host in simulated else None for host in plan.hosts}
        self.records.in_force(plan, why, timedelta(days=days))

    def rotate(self) -> None:
        self.records.rotate()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_log_s_folder_is_made_for_its_owner_alone(run: Run) -> None:
    folders = (run.folder.root.parent, run.folder.root, run.folder.requests)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700] * 3


def test_the_prices_of_each_plan_are_written_down_when_they_change(run: Run) -> None:
    before = datetime.now(UTC)
    run.in_force()
    run.in_force()
    run.in_force(DEARER)
    run.in_force(DEARER, "bedrock")
    written = read_tariffs(run.folder)
    assert [replace(each, since=before) for each in written] == [
        tariff(PLAN, since=before),
        tariff(DEARER, since=before),
        tariff(DEARER, frozenset({"bedrock"}), before),
    ]
    moments = [before, *(each.since for each in written), datetime.now(UTC)]
    assert moments == sorted(moments)
    assert stat.S_IMODE(run.folder.prices.stat().st_mode) == 0o600


def test_broken_prices_are_said_left_alone_and_stop_nothing(run: Run) -> None:
    run.folder.prices.write_text("oops\n")
    run.in_force()
    what = f"{run.folder.prices}:1 is not a list of prices: remove the line"
    assert run.notes == [f"{what}. Until then no prices are written down."]
    assert run.folder.prices.read_text() == "oops\n"


def test_requests_are_kept_as_long_as_the_stack_says(run: Run) -> None:
    old = run.folder.requests / "old.jsonl"
    old.write_text("{}\n")
    at = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    os.utime(old, (at, at))
    run.rotate()
    run.in_force(days=30)
    run.rotate()
    assert old.exists()
    run.in_force(days=7)
    run.rotate()
    assert not old.exists()


def test_a_log_that_is_not_in_order_is_said_once_until_it_is_again(run: Run) -> None:
    run.folder.requests.rmdir()
    run.in_force()
    for _ in range(2):
        run.rotate()
    notes = f"The log of requests is not in order: {run.folder.requests}: No such file or directory."
    assert run.notes == [notes]
    run.folder.requests.mkdir()
    run.rotate()
    run.folder.requests.rmdir()
    run.rotate()
    assert run.notes == [notes, notes]


def test_a_project_that_nothing_can_be_written_in_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / ".corral").write_text("in the way")
    with pytest.raises(EngineError) as refused:
        Run(tmp_path)
    where = tmp_path / ".corral" / "prod" / "requests"
    assert str(refused.value) == f"The log of requests cannot be kept in {where}: File exists."


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Writer:
    """The module: it opens the file each time."""

    def __init__(self, folder: StateFolder) -> None:
        self._path = folder.current
        self._path.touch()
        self.written = 0

    def write(self, number: int = 1) -> None:
        with self._path.open("a") as file:
            for _ in range(number):
                file.write(line(id=str(self.written)))
                self.written += 1


class Machine:
    """A log, who writes it, who ends its files, and the time."""

    def __init__(self, folder: StateFolder) -> None:
        self.folder = folder
        self.now = NOON
        self.writer = Writer(folder)
        self.touch(folder.current, NOON)
        self.notes: list[str] = []
        self.records = self.started()

    def started(self) -> Records:
        """As an engine begins it."""
        records = Records(self.folder, self.notes.append, largest=1_000, now=lambda: self.now)
        records.keep = timedelta(days=30)
        return records

    def touch(self, path: Path, at: datetime) -> None:
        os.utime(path, (at.timestamp(), at.timestamp()))

    def rotate(self) -> None:
        self.records.rotate()
        assert self.notes == []

    def read(self) -> int:
        reading = Reading(self.folder, Window())
        number = sum(1 for _ in reading)
        assert reading.unreadable == 0
        return number

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.requests.iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(log(tmp_path))


def test_a_file_ends_when_it_is_too_large_and_not_before(machine: Machine) -> None:
    machine.writer.write()
    machine.rotate()
    assert machine.names() == ["current.jsonl"]
    machine.writer.write(3)
    machine.rotate()
    assert machine.names() == ["2026-11-21T12-00-00.000Z.jsonl"]
    machine.writer.write()
    assert machine.read() == machine.writer.written == 5


def test_two_files_that_end_at_the_same_moment_are_two_files(machine: Machine) -> None:
    for _ in range(3):
        machine.writer.write(4)
        machine.rotate()
    assert machine.names() == [
        "2026-11-21T12-00-00.000Z-2.jsonl",
        "2026-11-21T12-00-00.000Z-3.jsonl",
        "2026-11-21T12-00-00.000Z.jsonl",
    ]
    assert machine.read() == machine.writer.written == 12


def test_a_day_ends_a_file_once_and_an_empty_one_never(machine: Machine) -> None:
    machine.now += timedelta(days=1)
    machine.rotate()
    assert machine.names() == ["current.jsonl"]
    machine.writer.write()
    machine.rotate()
    assert machine.names() == ["current.jsonl"]
    machine.now += timedelta(days=1)
    machine.rotate()
    machine.writer.write()
    machine.rotate()
    assert machine.names() == ["2026-11-23T12-00-00.000Z.jsonl", "current.jsonl"]
    assert machine.read() == machine.writer.written == 2


def test_a_file_that_an_engine_left_on_another_day_ends(machine: Machine) -> None:
    machine.writer.write()
    machine.touch(machine.folder.current, NOON - timedelta(days=1))
    machine.records = machine.started()
    machine.rotate()
    assert machine.names() == ["2026-11-21T12-00-00.000Z.jsonl"]


def test_files_are_deleted_when_all_that_is_in_them_is_older_than_what_is_kept(machine: Machine) -> None:
    for name, days in (("31-days", 31), ("29-days", 29)):
        path = machine.folder.requests / f"{name}.jsonl"
        path.write_text(line())
        machine.touch(path, NOON - timedelta(days=days))
    machine.rotate()
    assert machine.names() == ["29-days.jsonl", "current.jsonl"]
    machine.records.keep = None
    machine.now += timedelta(days=400)
    machine.rotate()
    assert machine.names() == ["29-days.jsonl", "current.jsonl"]
    machine.records.keep = timedelta(days=1)
    other = machine.folder.requests / "notes.txt"
    other.write_text("somebody's own")
    machine.touch(other, NOON - timedelta(days=400))
    machine.rotate()
    assert machine.names() == ["current.jsonl", "notes.txt"]
