"""The process of simulated hosts, as a test starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from corral.simulated.control import SimulatedControl
from corral.simulated.hosts import TOKEN_VARIABLE, SimulatedHost, to_json
from corral.simulated.loopback import bind

TOKEN = "the-token"


@dataclass(frozen=True)
class SimulatedProcess:
    """A running process of simulated hosts."""

    process: subprocess.Popen[bytes]
    port: int
    control: SimulatedControl

    @classmethod
    def start(cls, hosts: Iterable[SimulatedHost]) -> SimulatedProcess:
        with bind(0) as listening:
            port = listening.getsockname()[1]
            process = subprocess.Popen(
                [sys.executable, "-m", "corral.simulated", "--fd", str(listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | {TOKEN_VARIABLE: TOKEN},
                pass_fds=[listening.fileno()],
            )
        started = cls(process, port, SimulatedControl(f"http://127.0.0.1:{port}", TOKEN))
        assert started.serve(hosts) is None
        return started

    def serve(self, hosts: Iterable[SimulatedHost]) -> str | None:
        """Has it serve these hosts; why it cannot."""
        return self.answer(to_json(hosts))

    def answer(self, line: bytes) -> str | None:
        """What it says to a line."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["error"]

    def stop(self) -> None:
        """Ends it; open requests are cut."""
        self.control.close()
        self.process.terminate()
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream
            stream.close()
