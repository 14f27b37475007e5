"""`corral serve` at a terminal: the live table, and Ctrl-C as a person types it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corral.local.state_folder import StateFolder
from tests.local.gateway import PATIENCE, Load, until

ROOT = Path(__file__).parents[2]
CTRL_C = b"\x03"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A terminal of 160 columns, and what was written on it."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._written = b""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        try:
            while more := os.read(self._master, 65536):
                self._written += more
        except OSError:  # what Linux says when the last process at the terminal is gone
            return

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    @property
    def written(self) -> str:
        return self._written.decode(errors="replace")

    @property
    def shown(self) -> str:
        """What was written, without colours and movements."""
        return ESCAPE.sub("", self.written)


@contextmanager
def at_a_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Terminal]]:
    """`corral` in the foreground of a terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    own = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "corral.cli", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**own, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
    )
    os.close(slave)
    try:
        yield process, Terminal(master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_the_live_table_follows_the_traffic_and_ctrl_c_ends_it(project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(
        "config:\n"
        "  corral:hosts: {groq: {models: {m: groq-m}}, deepinfra: {models: {m: deepinfra-m}}}\n"
        "  corral:models:\n"
        "    m: {shares: {groq: 60, deepinfra: 40}}\n"
    )
    with at_a_terminal("serve", "--simulate", "--port", "0") as (process, terminal):
        running = until(lambda: StateFolder.of(project, "local").running(), "the stack is served")
        until(lambda: "DECLARED" in terminal.shown, "the table is shown")
        assert "Simulated (asked for): deepinfra, groq." in terminal.written
        with Load(running.url, clients=1) as load:
            load.more(50)
            row = re.compile(r"m +deepinfra +40% +\d+\.\d% +[\d,]+ +0 +\d+ ms +\d+ ms +ok +simulated: asked for")
            until(lambda: row.search(terminal.shown), "the table shows the traffic")
        assert load.failures == []
        assert "\x1b[1m" in terminal.written
        terminal.type(CTRL_C)
        assert process.wait(PATIENCE) == 0
        until(lambda: terminal.shown.rstrip().endswith("Stopped."), "it has said so")
    assert terminal.written.rindex("\x1b[?25h") > terminal.written.rindex("\x1b[?25l"), "the cursor is shown again"
    assert "Traceback" not in terminal.shown
    assert StateFolder.of(project, "local").running() is None
