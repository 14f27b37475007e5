"""What a run keeps of its requests, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from corral.local.errors import EngineError
from corral.local.state_folder import Folder
from corral.local.statistics.cost import read_tariffs, tariff
from corral.local.statistics.request_log import Records
from corral.plan.plan import Plan
from tests.plan.world import LLAMA, build

PLAN = build({LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40}}})
DEARER = build(
    {LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40}}},
    {"deepinfra": {"models": {LLAMA: {"id": "x", "price": {"input": 9, "output": 9}}}}},
)


class Run:
    """The records of a run, and what was said."""

    def __init__(self, project: Path) -> None:
        self.folder = Folder.of(project, "prod")
        self.notes: list[str] = []
        self.reopened = 0
        self.envoy_lives = True
        self.records = Records(self.folder, self._reopen, self.notes.append)

    async def _reopen(self) -> None:
        if not self.envoy_lives:
            raise EngineError("Envoy's admin interface does not answer.")
        self.reopened += 1

    def in_force(self, plan: Plan = PLAN, *simulated: str, days: int = 30) -> None:
        """A plan comes into force; `simulated` are its hosts that are not real."""
        why = {host: "asked for" if host in simulated else None for host in plan.hosts}
        self.records.in_force(plan, why, timedelta(days=days))

    def rotate(self) -> None:
        asyncio.run(self.records.rotate())


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


def test_a_file_that_ended_while_envoy_was_down_is_opened_anew_when_it_is_back(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path, "prod")
    folder.make()
    folder.current.write_text("{}\n")
    os.utime(folder.current, (0, 0))
    run = Run(tmp_path)
    run.envoy_lives = False
    run.rotate()
    run.envoy_lives = True
    assert (run.reopened, run.notes, folder.current.exists(), len(folder.ended())) == (0, [], False, 1)
    run.rotate()
    run.rotate()
    assert run.reopened == 1


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
