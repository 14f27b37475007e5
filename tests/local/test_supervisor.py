"""Child processes: what becomes of one that dies, does not start, or loses its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from corral.local import supervisor
from corral.local.errors import EngineError
from corral.local.supervisor import Child, Program, Supervisor
from tests.local.gateway import until

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")


async def at_once(_: Child) -> None:
    """Ready as soon as it is started."""


async def never(_: Child) -> None:
    await asyncio.Event().wait()


async def echoes(child: Child) -> None:
    assert await child.ask(b"hello") == b"hello\n"


def program(command: str, ready: Callable[[Child], Awaitable[None]] = at_once, **more: Any) -> Program:
    return Program("The shell", ("sh", "-c", command), ready, lambda cause: f"The shell died ({cause}).", **more)


def supervised(program: Program, watch: Callable[[Supervisor, list[str]], Awaitable[None]]) -> list[str]:
    """Runs it until `watch` has ended; what was reported."""
    notices: list[str] = []

    async def run() -> None:
        running = Supervisor(program, notices.append)
        try:
            await running.start()
            await watch(running, notices)
        finally:
            await running.stop()
            assert running.child is None or not running.child.running

    asyncio.run(run())
    return notices


async def nothing(_: Supervisor, __: list[str]) -> None:
    """Ends at once."""


@pytest.mark.parametrize(
    ("command", "ready", "message"),
    [
        ("echo why >&2; exit 3", never, "The shell ended while starting. Its last words:\nwhy"),
        ("echo why >&2; exit 3", echoes, "The shell ended while starting. Its last words:\nwhy"),
        ("exec sleep 60", never, "The shell is not ready after 0 s. Its last words:\n"),
    ],
)
def test_a_child_that_does_not_come_to_serve_is_ended_and_its_last_words_are_said(
    monkeypatch: pytest.MonkeyPatch, command: str, ready: Callable[[Child], Awaitable[None]], message: str
):
    if "sleep" in command:
        monkeypatch.setattr(supervisor, "_START_SECONDS", 0.4)
    with pytest.raises(EngineError) as refused:
        supervised(program(command, ready, answers=True), nothing)
    assert str(refused.value) == message


def test_a_program_that_is_not_there_is_named():
    missing = Program("The tool", ("/nowhere/tool",), at_once, str)
    with pytest.raises(EngineError, match=r"The tool cannot be started: .*/nowhere/tool"):
        supervised(missing, nothing)


def test_a_child_answers_lines_one_after_the_other():
    async def ask(running: Supervisor, _: list[str]) -> None:
        assert running.child
        lines = [f"line {number}".encode() for number in range(5)]
        assert await asyncio.gather(*map(running.child.ask, lines)) == [line + b"\n" for line in lines]

    assert supervised(program("exec cat", echoes, answers=True), ask) == []


def test_a_child_that_dies_is_started_again_and_made_ready_again():
    async def kill(running: Supervisor, notices: list[str]) -> None:
        before = running.child
        assert before
        os.kill(before.pid, signal.SIGKILL)
        await before.ended()
        async with asyncio.timeout(10):
            while running.child is before:
                await asyncio.to_thread(time.sleep, 0.01)
        assert running.child
        assert await running.child.ask(b"x") == b"x\n"
        assert notices == ["The shell died (signal 9)."]

    assert supervised(program("exec cat", echoes, answers=True), kill) == ["The shell died (signal 9)."]


def test_an_essential_one_that_dies_on_is_given_up_with_its_last_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervisor, "_LONGEST_PAUSE_SECONDS", 0.01)

    async def wait(running: Supervisor, _: list[str]) -> None:
        await running.failed()

    with pytest.raises(EngineError) as given_up:
        supervised(program("echo why >&2; exit 7", essential=True), wait)
    assert str(given_up.value) == ("The shell died 6 times within 60 s and is not started again. Its last words:\nwhy")


PARENT = """
import asyncio
from corral.local.supervisor import Program, Supervisor

async def at_once(child):
    pass

async def main():
    running = Supervisor(Program("cat", {command}, at_once, str), print)
    await running.start()
    print(running.child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def ends_with_its_parent(command: str) -> None:
    """Waits until a child has ended whose parent was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(command=command)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "components")},
    ) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
        parent.wait()
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child has ended")


def test_a_child_that_reads_its_standard_input_does_not_outlive_a_parent_that_is_killed():
    ends_with_its_parent("('cat',)")


@LINUX
def test_on_linux_no_child_outlives_its_parent():
    ends_with_its_parent("('sleep', '600')")
