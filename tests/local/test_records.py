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
from corral.local.statistics import prices
from corral.local.statistics.records import Records
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
        self.said: list[str] = []
        self.asked = 0
        self.envoy_lives = True
        self.records = Records(self.folder, self._reopen, self.said.append)

    async def _reopen(self) -> None:
        if not self.envoy_lives:
            raise EngineError("Envoy's admin interface does not answer.")
        self.asked += 1

    def in_force(self, plan: Plan = PLAN, *simulated: str, days: int = 30) -> None:
        """A plan comes into force; `simulated` are its hosts that are not real."""
        why = {host: "asked for" if host in simulated else None for host in plan.hosts}
        self.records.in_force(plan, why, timedelta(days=days))

    def look(self) -> None:
        asyncio.run(self.records.look())


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
    written = prices.read(run.folder)
    assert [replace(each, since=before) for each in written] == [
        prices.tariff(PLAN, since=before),
        prices.tariff(DEARER, since=before),
        prices.tariff(DEARER, frozenset({"bedrock"}), before),
    ]
    moments = [before, *(each.since for each in written), datetime.now(UTC)]
    assert moments == sorted(moments)
    assert stat.S_IMODE(run.folder.prices.stat().st_mode) == 0o600


def test_broken_prices_are_said_left_alone_and_stop_nothing(run: Run) -> None:
    run.folder.prices.write_text("oops\n")
    run.in_force()
    what = f"{run.folder.prices}:1 is not a list of prices: remove the line"
    assert run.said == [f"{what}. Until then no prices are written down."]
    assert run.folder.prices.read_text() == "oops\n"


def test_requests_are_kept_as_long_as_the_stack_says(run: Run) -> None:
    old = run.folder.requests / "old.jsonl"
    old.write_text("{}\n")
    at = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    os.utime(old, (at, at))
    run.look()
    run.in_force(days=30)
    run.look()
    assert old.exists()
    run.in_force(days=7)
    run.look()
    assert not old.exists()


def test_a_file_that_ended_while_envoy_was_down_is_opened_anew_when_it_is_back(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path, "prod")
    folder.make()
    folder.current.write_text("{}\n")
    os.utime(folder.current, (0, 0))
    run = Run(tmp_path)
    run.envoy_lives = False
    run.look()
    run.envoy_lives = True
    assert (run.asked, run.said, folder.current.exists(), len(folder.ended())) == (0, [], False, 1)
    run.look()
    run.look()
    assert run.asked == 1


def test_a_log_that_is_not_in_order_is_said_once_until_it_is_again(run: Run) -> None:
    run.folder.requests.rmdir()
    run.in_force()
    for _ in range(2):
        run.look()
    said = f"The log of requests is not in order: {run.folder.requests}: No such file or directory."
    assert run.said == [said]
    run.folder.requests.mkdir()
    run.look()
    run.folder.requests.rmdir()
    run.look()
    assert run.said == [said, said]


def test_a_project_that_nothing_can_be_written_in_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / ".corral").write_text("in the way")
    with pytest.raises(EngineError) as refused:
        Run(tmp_path)
    where = tmp_path / ".corral" / "prod" / "requests"
    assert str(refused.value) == f"The log of requests cannot be kept in {where}: File exists."
