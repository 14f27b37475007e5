"""The simulated hosts as a child process, seen from the parent.

The keys of the hosts go over in a file of mode 0600, the control token in the environment, and nothing of the
parent's environment that could hold a real key.  The child is in a process group of its own, so that Ctrl-C in the
terminal reaches the parent alone and the parent says when the hosts go; it ends by itself when the parent dies.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from corral.simulated.control import SimulatedControl
from corral.simulated.hosts import TOKEN_VARIABLE, SimulatedHost, write_hosts

_PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "TMPDIR", "SYSTEMROOT")


class SimulatedProcessError(Exception):
    """The simulated hosts did not start; the message says why."""


@dataclass(frozen=True)
class SimulatedProcess:
    """A running process of simulated hosts."""

    process: subprocess.Popen[bytes]
    port: int
    token: str = field(repr=False)
    """Of its control endpoints."""
    control: SimulatedControl

    @classmethod
    def start(
        cls,
        hosts: Iterable[SimulatedHost],
        folder: Path,
        *,
        port: int = 0,
        token: str | None = None,
        timeout: float = 10.0,
    ) -> Self:
        """Starts it and waits, `timeout` seconds at most, until it answers.  Without a `token` it gets one of its own.

        `folder` takes `hosts.json`, `ready.json` and, of what it says, `stderr`.  Raises SimulatedProcessError.
        """
        described, ready, errors = folder / "hosts.json", folder / "ready.json", folder / "stderr"
        write_hosts(described, hosts)
        ready.unlink(missing_ok=True)
        token = token or secrets.token_urlsafe(32)
        command = [sys.executable, "-m", "corral.simulated", "--with-parent", "--port", str(port)]
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [*command, "--hosts", str(described), "--ready-file", str(ready)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {TOKEN_VARIABLE: token},
                process_group=0 if os.name == "posix" else None,
            )
        try:
            _wait_until_ready(process, ready, timeout)
        except BaseException as error:
            _end(process)
            said = "".join(errors.read_text(errors="replace").strip().splitlines()[-1:])
            if isinstance(error, SimulatedProcessError) and said:
                raise SimulatedProcessError(f"the simulated hosts did not start: {said}") from None
            raise
        port = json.loads(ready.read_text())["port"]
        return cls(process, port, token, SimulatedControl(f"http://127.0.0.1:{port}", token))

    def stop(self) -> None:
        """Ends it; open requests are cut.  May be called twice."""
        self.control.close()
        _end(self.process)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, timeout: float) -> None:
    end = time.monotonic() + timeout
    while not ready.exists():
        if process.poll() is not None:
            raise SimulatedProcessError(f"the simulated hosts did not start: exit status {process.returncode}")
        if time.monotonic() > end:
            raise SimulatedProcessError(f"the simulated hosts did not start within {timeout:g} s")
        time.sleep(0.01)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
