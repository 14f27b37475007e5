"""A full disk: what is said, what goes on serving, and that the edit is in force once there is room."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from corral.local.state_folder import StateFolder
from tests.local.gateway import PATIENCE, TWO_HOSTS, Gateway, Load, chat, processes, until
from tests.local.streams import is_whole, slow_streams

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")


@LINUX
def test_a_disk_too_full_for_its_own_words_does_not_end_it(project: Path, machine: Path):
    gateway = Gateway(project, "test")
    gateway.file.parent.mkdir(parents=True)
    gateway.save(TWO_HOSTS)
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "corral.cli", "serve", "--stack", "test", "--port", "0"],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        before = until(lambda: StateFolder.of(project, "test").running() or process.poll() is not None, "it serves")
        gateway.save({**TWO_HOSTS, "corral:models": {"m": {"shares": {"groq": 100}}}})
        until(lambda: gateway.running != before, "the move is in force")
        assert chat(gateway.url).headers["x-corral-host"] == "groq"
    finally:
        process.terminate()
        process.wait(PATIENCE)
    assert processes(machine) == []


MORE: dict[str, Any] = {
    f"lab-{number}": {"kind": "openai", "url": "http://127.0.0.1:9/v1", "models": {"m": "x"}} for number in range(4)
}
"""Hosts with which the file of clusters is larger than 4 KiB."""
MANY = [f"model-{number}" for number in range(40)]


def with_many_models() -> dict[str, Any]:
    """So many models that Envoy's table of routes is larger than 8 KiB, and the file of its clusters is not."""
    return {
        **TWO_HOSTS,
        "corral:hosts": {name: {"models": dict.fromkeys(["m", *MANY], "x")} for name in ("groq", "deepinfra")} | MORE,
        "corral:models": {"m": {"shares": {"groq": 0, "deepinfra": 100}}}
        | {name: {"shares": {"groq": 100, "deepinfra": 0}} for name in MANY},
    }


@LINUX
def test_a_disk_that_is_full_when_a_removed_host_has_drained_is_said_and_the_next_change_tidies_up(gateway: Gateway):
    assert gateway.process
    corral = psutil.Process(gateway.process.pid)
    models: dict[str, Any] = {name: {"shares": {"deepinfra": 100}} for name in MANY}
    models["m"] = {"shares": {"deepinfra": 100}, "fallback": [*MORE]}
    without = {**with_many_models(), "corral:models": models}
    opened = slow_streams(gateway, 4)
    gateway.move(without)
    assert gateway.log.stat().st_size < 2**12
    corral.rlimit(psutil.RLIMIT_FSIZE, (2**12, psutil.RLIM_INFINITY))
    assert all(map(is_whole, opened))
    said = "What the former plan needed stays until the next change."
    until(lambda: said in gateway.said(), "it is said")
    corral.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    clusters = Path(gateway.running.admin_socket).with_name("clusters.json")
    assert "host/groq" in clusters.read_text()
    gateway.move({**without, "corral:accept": ["price/m/deepinfra"]})
    until(lambda: "host/groq" not in clusters.read_text(), "what groq needed is gone")
    assert chat(gateway.url).status_code == 200
    assert "Traceback" not in gateway.said()


@LINUX
def test_a_full_disk_is_said_changes_nothing_and_once_there_is_room_the_stack_is_in_force(gateway: Gateway):
    assert gateway.process
    corral = psutil.Process(gateway.process.pid)
    before = gateway.running
    corral.rlimit(psutil.RLIMIT_FSIZE, (2**13, psutil.RLIM_INFINITY))
    gateway.save(with_many_models())
    root = Path(before.admin_socket).parent
    complaint = re.compile(
        rf"{root}/(.+/)?[a-z-]+\.json cannot be written: File too large\. Make room for it in {root}\S*\n"
        r"The last good plan serves on; the new one is tried again until it is in force\.\n"
    )
    until(lambda: complaint.search(gateway.said()), "the refusal is said")
    assert list(root.rglob("*.new")) == []
    with Load(gateway.url) as load:
        load.more(100)
    assert (load.failures, load.answered.keys()) == ([], {"groq", "deepinfra"})
    assert gateway.running == before
    corral.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    until(lambda: gateway.running != before, "it is in force")
    assert {chat(gateway.url).headers["x-corral-host"] for _ in range(20)} == {"deepinfra"}
    assert chat(gateway.url, MANY[-1]).headers["x-corral-host"] == "groq"
    assert len(complaint.findall(gateway.said())) == 1
    assert "Traceback" not in gateway.said()
