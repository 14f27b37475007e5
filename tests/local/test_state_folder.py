"""One run of a stack at a time, and what it keeps: for this user alone, and out of version control."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from corral.local.errors import EngineError
from corral.local.state_folder import StateFolder

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
            with StateFolder.of(tmp_path, "prod").claimed():
                tried.wait(10)
                return "won"
        except EngineError as reason:
            tried.wait(10)
            return str(reason).partition(" by process")[0]

    with ThreadPoolExecutor(number) as pool:
        outcomes = sorted(pool.map(start, range(number)))
    assert outcomes == ["Stack prod is being started"] * (number - 1) + ["won"]


def test_the_others_are_told_who_it_is_until_it_ends(tmp_path: Path):
    with StateFolder.of(tmp_path, "prod").claimed():
        for _ in range(2):
            with pytest.raises(EngineError) as refused, StateFolder.of(tmp_path, "prod").claimed():
                pass
            assert str(refused.value) == STARTED
        with StateFolder.of(tmp_path, "staging").claimed():
            pass
    with StateFolder.of(tmp_path, "prod").claimed():
        pass


def test_a_run_that_was_killed_holds_nothing(tmp_path: Path):
    program = (
        "import sys, pathlib\n"
        "from corral.local.state_folder import StateFolder\n"
        "with StateFolder.of(pathlib.Path(sys.argv[1]), 'prod').claimed():\n"
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
        with pytest.raises(EngineError, match=f"by process {other.pid}"), StateFolder.of(tmp_path, "prod").claimed():
            pass
        other.kill()
        other.wait()
        with StateFolder.of(tmp_path, "prod").claimed():
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / ".corral").write_text("in the way")
    folder = StateFolder.of(tmp_path, "prod")
    with pytest.raises(EngineError, match=r"\.corral/prod/lock cannot be made: "), folder.claimed():
        pass


def test_generated_keys_lie_where_only_this_user_reads_them_and_go_with_the_run(tmp_path: Path) -> None:
    folder, keys = StateFolder.of(tmp_path, "prod"), {"search": "sk-ONE", "support": "sk-OTHER"}
    assert folder.read_generated_keys() == {}
    with folder.claimed():
        folder.write_generated_keys(keys)
        file = tmp_path / ".corral" / "prod" / "keys.json"
        assert (folder.generated_keys, stat.S_IMODE(file.stat().st_mode)) == (file, 0o600)
        assert folder.read_generated_keys() == keys
        folder.write_generated_keys({})
        assert not file.exists()
        folder.write_generated_keys(keys)
    assert folder.read_generated_keys() == {}


def test_nothing_of_it_comes_under_version_control_unless_somebody_wants_it_to(tmp_path: Path) -> None:
    ignored = tmp_path / ".corral" / ".gitignore"
    StateFolder.of(tmp_path, "prod").make()
    assert ignored.read_text() == "*\n"
    ignored.write_text("*.json\n")
    StateFolder.of(tmp_path, "staging").make()
    assert ignored.read_text() == "*.json\n"
