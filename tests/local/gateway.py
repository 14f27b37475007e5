"""A running gateway: `corral serve` as a person starts it, in a project of its own, with a real Envoy."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import openai
import psutil
import pytest
import yaml

from corral.cli.main import main
from corral.local.state_folder import Running, StateFolder
from corral.simulated.control import SimulatedControl

PATIENCE = 30.0

TWO_HOSTS: dict[str, Any] = {
    "corral:engine": {"simulate": "always"},
    "corral:hosts": {"groq": {"models": {"m": "groq-m"}}, "deepinfra": {"models": {"m": "deepinfra-m"}}},
    "corral:models": {"m": {"shares": {"groq": 60, "deepinfra": 40}}},
}


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Waits until the condition holds, and returns what it gave."""
    deadline = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.02)


class Ended(NamedTuple):
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


class Gateway:
    """One `corral serve`."""

    def __init__(self, project: Path, stack: str) -> None:
        self.project = project
        self.stack = stack
        self.log = project / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def file(self) -> Path:
        return self.project / "stacks" / f"Pulumi.{self.stack}.yaml"

    def save(self, config: dict[str, Any]) -> None:
        """Saves the stack file."""
        self.file.write_text(yaml.safe_dump({"config": config}))

    def start(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "corral.cli", "serve", "--stack", self.stack, "--port", "0", *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.project,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "components"), **(environment or {})},
            )
        until(self._serves, f"corral serve serves; it said: {self.said()}")

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"corral serve ended: {self.said()}"
        found = StateFolder.of(self.project, self.stack).running()
        return found is not None and found.pid == self.process.pid

    @property
    def running(self) -> Running:
        found = StateFolder.of(self.project, self.stack).running()
        assert found is not None
        return found

    @property
    def url(self) -> str:
        return self.running.url

    def said(self) -> str:
        return self.log.read_text()

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key="a client's own", max_retries=0, timeout=60)

    def control(self) -> closing[SimulatedControl]:
        running = self.running
        assert running.control_url
        assert running.control_token
        return closing(SimulatedControl(running.control_url, running.control_token))

    def admin(self, path: str) -> str:
        """What Envoy's admin interface answers."""
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.running.admin_socket), base_url="http://e") as client:
            return client.get(path).text

    def left_out(self, model: str = "") -> set[str]:
        """The hosts that are ejected from a model, or from any."""
        now = time.time() * 1000
        gauges = self.gauges(rf"^corral\.ejected_until\.model\.{model}")
        return {name.rsplit(".", 1)[1] for name, until in gauges.items() if until > now}

    def gauges(self, pattern: str) -> dict[str, int]:
        """Counters and gauges: the module's, and Envoy's own."""
        paths = ("/corral", f"/stats?format=json&filter={pattern}")
        entries = (entry for path in paths for entry in json.loads(self.admin(path))["stats"] if "name" in entry)
        return {entry["name"]: entry["value"] for entry in entries if re.search(pattern, entry["name"])}

    def run(self, *arguments: str) -> Ended:
        """Another `corral` command, beside the running one; in this process, for a start of Python takes a second."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.project)
            patch.setattr("sys.argv", ["corral", *arguments, "--stack", self.stack])
            with pytest.raises(SystemExit) as ended:
                main()
        return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    def move(self, config: dict[str, Any]) -> None:
        """Saves the stack file and waits until it is in force."""
        since = self.log.read_text().count("\n")
        before = self.running
        self.save(config)
        until(lambda: self.running != before, f"the new stack is in force; said: {self.said().splitlines()[since:]}")

    def end(self, number: int = signal.SIGINT) -> int:
        """Tells it to end; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def serving(
    folder: Path, config: dict[str, Any], *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[Gateway]:
    """A gateway that serves this stack."""
    (folder / "stacks").mkdir(parents=True)
    gateway = Gateway(folder, "test")
    gateway.save(config)
    try:
        gateway.start(*arguments, environment=environment)
        yield gateway
    finally:
        gateway.kill()


def chat(url: str, model: str = "m", **more: Any) -> httpx.Response:
    """One chat completion as plain HTTP."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=60)


class Load:
    """Clients that ask without a pause until they are told to end; what became of every request is kept."""

    def __init__(self, url: str, model: str = "m", clients: int = 4, **more: Any) -> None:
        self._url = url
        self._body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}
        self._clients = clients
        self._ending = False
        self.answered: Counter[str] = Counter()
        """By host."""
        self.failures: list[str] = []

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._ending:
                try:
                    answer = client.post(f"{self._url}/chat/completions", json=self._body)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if answer.status_code == 200 and answer.json()["choices"]:
                    self.answered[answer.headers["x-corral-host"]] += 1
                else:
                    self.failures.append(f"{answer.status_code} {answer.text}")

    def __enter__(self) -> Load:
        self._pool = ThreadPoolExecutor(self._clients)
        self._done = [self._pool.submit(self._ask) for _ in range(self._clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        for done in self._done:
            done.result(60)
        self._pool.shutdown()

    def more(self, number: int) -> None:
        """Waits until so many further requests are answered."""
        goal = self.answered.total() + number
        until(lambda: self.answered.total() >= goal or self.failures, f"{number} more answers")


def processes(machine: Path) -> list[str]:
    """What runs with this test's folder for temporary files, this process aside."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("TMPDIR") == str(machine):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found
