"""`corral drill` as a person calls it, with a real Envoy: what loses nothing, what loses something, and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
import yaml

from tests.local.gateway import PATIENCE, until

ROOT = Path(__file__).parents[3]

STACK: dict[str, Any] = {
    "corral:hosts": {"groq": {"models": {"m": "groq-m"}}, "deepinfra": {"models": {"m": "deepinfra-m"}}},
    "corral:models": {"m": {"shares": {"groq": 60, "deepinfra": 40}}},
}


class Drill:
    """One `corral drill`, of some ten seconds, in a project and with temporary folders of its own."""

    def __init__(self, folder: Path, temporary: str) -> None:
        (folder / "stacks").mkdir()
        self.folder = folder
        self.file = folder / "stacks" / "Pulumi.test.yaml"
        self.file.write_text(yaml.safe_dump({"config": STACK}))
        self.log = folder / "drill.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "corral.cli", "drill", "--stack", "test", "--minutes", "0.2"),
                    *("--json", "report.json"),
                ],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": temporary},
            )

    def output(self) -> str:
        return self.log.read_text()

    def reaches(self, step: str) -> None:
        """Waits until this step has ended."""
        until(lambda: f"  {step}\n" in self.output() or self.process.poll() is not None, f"{step}: {self.output()}")

    def ended(self) -> int:
        return self.process.wait(3 * PATIENCE)

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "report.json").read_text())


@pytest.fixture
def drill(tmp_path: Path) -> Iterator[Drill]:
    with TemporaryDirectory(prefix="c-") as short:  # a Unix socket has no room for pytest's path
        begun = Drill(tmp_path, short)
        before = begun.file.read_text()
        yield begun
        if begun.process.poll() is None:
            begun.process.terminate()
            begun.process.wait(PATIENCE)
        assert begun.file.read_text() == before, "the stack is as it was"
        assert list(Path(short).iterdir()) == [], "nothing lies about"
    assert not (tmp_path / ".corral").exists()


def test_a_drill_of_two_hosts_loses_nothing_and_says_what_it_saw(drill: Drill) -> None:
    assert drill.ended() == 0, drill.output()
    report = drill.report
    assert (report["lost"], report["problems"], report["endedEarly"]) == (0, [], False)
    assert report["requests"] > 100
    assert {step["title"]: step["skipped"] for step in report["steps"] if step["skipped"]} == {
        "all sharing hosts: answer 503": "no fallback of m is then left",
        "a tenant exceeds its limit": "the stack declares no tenants",
    }
    assert [move["title"] for move in report["moves"] if move["inForce"] is not None] == [
        "swap shares",
        "drain the largest share to 0",
        "back to what is declared",
    ]
    assert all(file["unchanged"] for file in report["broken"])
    assert {failure["title"] for failure in report["failures"] if failure["met"]} >= {
        "groq: answers 503",
        "deepinfra: refuses connections",
    }
    assert "0 lost" in drill.output()


def test_what_is_lost_is_counted_and_ends_with_status_1(drill: Drill) -> None:
    drill.reaches("shares as declared")
    (envoy,) = (child for child in psutil.Process(drill.process.pid).children() if "envoy" in child.name())
    envoy.kill()
    assert drill.ended() == 1, drill.output()
    report = drill.report
    assert report["lost"] == sum(report["reasons"].values()) > 0
    assert re.search(r"\d+ requests? (was|were) lost", drill.output())
    assert any("Envoy died (signal 9)" in text for _, text in report["notices"])


def test_ctrl_c_ends_it_with_a_report_of_what_there_was(drill: Drill) -> None:
    drill.reaches("shares as declared")
    children = psutil.Process(drill.process.pid).children(recursive=True)
    drill.process.send_signal(signal.SIGINT)
    assert drill.ended() == 130, drill.output()
    assert "ended early" in drill.output()
    assert "Traceback" not in drill.output(), drill.output()
    assert drill.report["endedEarly"]
    assert not [child for child in children if child.is_running()]
