"""One run of a stack at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from corral.local.errors import EngineError
from corral.local.state_folder import claimed

STARTED = (
    f"Stack prod is being started by process {os.getpid()}. "
    "End that one first (Ctrl-C), or look at it with: corral status"
)


def test_of_runs_that_start_at_the_same_instant_one_wins(tmp_path: Path):
    number = 8
    ready, tried = Barrier(number), Barrier(number)

    def start(_: int) -> str:
        ready.wait(10)
        try:
            with claimed(tmp_path, "prod"):
                tried.wait(10)
                return "won"
        except EngineError as reason:
            tried.wait(10)
            return str(reason).partition(" by process")[0]

    with ThreadPoolExecutor(number) as pool:
        outcomes = sorted(pool.map(start, range(number)))
    assert outcomes == ["Stack prod is being started"] * (number - 1) + ["won"]


def test_the_others_are_told_who_it_is_until_it_ends(tmp_path: Path):
    with claimed(tmp_path, "prod"):
        for _ in range(2):
            with pytest.raises(EngineError) as refused, claimed(tmp_path, "prod"):
                pass
            assert str(refused.value) == STARTED
        with claimed(tmp_path, "staging"):
            pass
    with claimed(tmp_path, "prod"):
        pass


def test_a_run_that_was_killed_holds_nothing(tmp_path: Path):
    program = (
        "import sys, pathlib\n"
        "from corral.local.state_folder import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1]), 'prod'):\n"
        "    print('mine', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "components")},
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(EngineError, match=f"by process {other.pid}"), claimed(tmp_path, "prod"):
            pass
        other.kill()
        other.wait()
        with claimed(tmp_path, "prod"):
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / ".corral").write_text("in the way")
    with pytest.raises(EngineError, match=r"\.corral/prod/lock cannot be made: "), claimed(tmp_path, "prod"):
        pass
