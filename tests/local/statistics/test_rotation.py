"""Files of the log end and are deleted, and no line is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from corral.local.state_folder import Folder
from corral.local.statistics.request_log import Reading, Rotation, Window
from tests.local.statistics.log_lines import line, log

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Writer:
    """Envoy: it writes on in the file that it has opened, whatever its name is by now."""

    def __init__(self, folder: Folder) -> None:
        self._path = folder.current
        self._file = self._path.open("a")
        self.written = 0
        self.reopened = 0
        self.deaf = False
        self.before_reopening: Callable[[], None] = lambda: None

    def write(self, number: int = 1) -> None:
        for _ in range(number):
            self._file.write(line(id=str(self.written)))
            self.written += 1
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    async def reopen(self) -> None:
        self.before_reopening()
        if self.deaf:
            raise ConnectionError("nobody there")
        self._file.close()
        self._file = self._path.open("a")
        self.reopened += 1


class Machine:
    """A log, who writes it, who ends its files, and the time."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.now = NOON
        self.writer = Writer(folder)
        self.touch(folder.current, NOON)
        self.rotation = self.started()

    def started(self) -> Rotation:
        """As an engine begins it."""
        return Rotation(self.folder, self.writer.reopen, keep=timedelta(days=30), largest=1_000, now=lambda: self.now)

    def touch(self, path: Path, at: datetime) -> None:
        os.utime(path, (at.timestamp(), at.timestamp()))

    def rotate(self) -> None:
        asyncio.run(self.rotation.rotate())

    def read(self) -> int:
        reading = Reading(self.folder, Window())
        number = sum(1 for _ in reading)
        assert reading.unreadable == 0
        return number

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.requests.iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(log(tmp_path))
    yield machine
    machine.writer.close()


def test_a_file_ends_when_it_is_too_large_and_not_before(machine: Machine) -> None:
    machine.writer.write()
    machine.rotate()
    assert (machine.names(), machine.writer.reopened) == (["current.jsonl"], 0)
    machine.writer.write(3)
    machine.rotate()
    assert machine.names() == ["2026-11-21T12-00-00.000Z.jsonl", "current.jsonl"]
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
        "current.jsonl",
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
    machine.rotation = machine.started()
    machine.rotate()
    assert machine.names() == ["2026-11-21T12-00-00.000Z.jsonl", "current.jsonl"]


def test_lines_written_before_the_new_file_is_open_are_in_the_old_one(machine: Machine) -> None:
    machine.writer.before_reopening = machine.writer.write
    for _ in range(20):
        machine.writer.write(4)
        machine.rotate()
        assert machine.read() == machine.writer.written
    assert machine.writer.reopened == 20
    assert machine.writer.written == 100


def test_a_writer_that_cannot_be_asked_goes_on_in_the_old_file_and_is_asked_again(machine: Machine) -> None:
    machine.writer.write(4)
    machine.writer.deaf = True
    for _ in range(2):
        with pytest.raises(ConnectionError):
            machine.rotate()
        machine.writer.write(4)
    assert machine.names() == ["2026-11-21T12-00-00.000Z.jsonl"]
    machine.writer.deaf = False
    machine.rotate()
    machine.writer.write()
    assert machine.names() == ["2026-11-21T12-00-00.000Z.jsonl", "current.jsonl"]
    assert machine.read() == machine.writer.written == 13


def test_files_are_deleted_when_all_that_is_in_them_is_older_than_what_is_kept(machine: Machine) -> None:
    for name, days in (("31-days", 31), ("29-days", 29)):
        path = machine.folder.requests / f"{name}.jsonl"
        path.write_text(line())
        machine.touch(path, NOON - timedelta(days=days))
    machine.rotate()
    assert machine.names() == ["29-days.jsonl", "current.jsonl"]
    machine.rotation.keep = None
    machine.now += timedelta(days=400)
    machine.rotate()
    assert machine.names() == ["29-days.jsonl", "current.jsonl"]
    machine.rotation.keep = timedelta(days=1)
    other = machine.folder.requests / "notes.txt"
    other.write_text("somebody's own")
    machine.touch(other, NOON - timedelta(days=400))
    machine.rotate()
    assert machine.names() == ["current.jsonl", "notes.txt"]
