"""A gateway with two tenants: one misbehaves, the other must not notice."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from corral.local.state_folder import StateFolder
from corral.simulated.control import SimulatedControl
from tests.abuse.recorder import Recorder, recorder
from tests.local.gateway import Gateway, serving, until

CALM, WILD, SMALL, BARRED = (f"sk-corral-of-the-{name}-one" for name in ("calm", "wild", "small", "barred"))
"""The tenants' keys."""

IDLE_TIMEOUT = 3
"""Seconds."""


def _stack(recorder_port: int) -> dict[str, Any]:
    return {
        "corral:engine": {"simulate": "withoutKey", "pagePort": 0, "idleTimeout": f"{IDLE_TIMEOUT}s"},
        "corral:hosts": {
            "groq": {"models": {"m": "groq-m"}},
            "deepinfra": {"models": {"m": "deepinfra-m"}},
            "lab": {
                "kind": "openai",
                "url": f"http://127.0.0.1:{recorder_port}/v1",
                "auth": "none",
                "models": {"recorded": "lab-m"},
            },
        },
        "corral:models": {
            "m": {"shares": {"groq": 60, "deepinfra": 40}},
            "recorded": {"shares": {"lab": 100}},
        },
        "corral:tenants": {"calm": {}, "wild": {}, "small": {"bodyLimit": "64Ki"}, "barred": {"models": ["recorded"]}},
    }


@dataclass
class Calm:
    """The well-behaved tenant: what became of its requests, and how long each took, in seconds."""

    url: str
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """It asks, one request after the other, until the end."""
        ending = threading.Event()
        thread = threading.Thread(target=self._ask, args=(ending,))
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def typical(self, number: int = 50) -> float:
        """What a request takes now."""
        quiet = Calm(self.url)
        with quiet.asking():
            until(lambda: len(quiet.seconds) >= number or quiet.failures, "the calm tenant's answers")
        assert not quiet.failures
        return median(quiet.seconds)

    def _ask(self, ending: threading.Event) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        with httpx.Client(headers={"authorization": f"Bearer {CALM}"}, timeout=60) as client:
            while not ending.wait(0.005):
                began = time.monotonic()
                try:
                    answer = client.post(f"{self.url}/chat/completions", json=body)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                self.seconds.append(time.monotonic() - began)
                if answer.status_code != 200:
                    self.failures.append(f"{answer.status_code} {answer.text}")


class Arena:
    """The gateway, what is behind it, and how it does."""

    def __init__(self, gateway: Gateway, host: Recorder, control: SimulatedControl, admin: httpx.Client) -> None:
        self.gateway = gateway
        self.host = host
        self._control = control
        self._admin = admin
        self.url = gateway.url
        self.port = httpx.URL(gateway.url).port or 0
        (self._envoy,) = (
            child for child in psutil.Process(gateway.running.pid).children(recursive=True) if child.name() == "envoy"
        )
        self._calm_before = Calm(self.url).typical()

    @property
    def memory(self) -> int:
        """Of Envoy, in bytes."""
        return self._envoy.memory_info().rss

    def reached(self) -> int:
        """How many requests have reached a host and are finished."""
        return sum(count.requests for count in self._control.state().counts) + len(self.host.requests)

    def statistics(self, pattern: str) -> dict[str, int]:
        """Those whose names match: the module's, and Envoy's own."""
        answers = (self._admin.get("/corral"), self._admin.get("/stats", params={"format": "json", "filter": pattern}))
        found = (each for answer in answers for each in answer.json()["stats"] if "name" in each)
        return {each["name"]: each["value"] for each in found if re.search(pattern, each["name"])}

    def statistic(self, name: str) -> int:
        return self.statistics(f"^{name}$".replace(".", r"\."))[name]

    def received(self) -> int:
        """How many requests the gateway has taken for one."""
        return self.statistic("http.gateway.downstream_rq_total")

    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.statistic("http.gateway.downstream_rq_active") == 0 and not self._control.state().open

    @contextmanager
    def calm_unharmed(self) -> Iterator[Calm]:
        """The calm tenant asks meanwhile: every request is answered, and not much later than before."""
        calm = Calm(self.url)
        before = max(self._calm_before, calm.typical())
        with calm.asking():
            yield calm
            answered = len(calm.seconds)
            until(lambda: len(calm.seconds) >= answered + 10 or calm.failures, "answers for the calm tenant")
        assert calm.failures == []
        assert median(calm.seconds) < 5 * before + 0.05

    @contextmanager
    def bounded(self, mebibytes: int) -> Iterator[None]:
        """Meanwhile Envoy's memory does not grow by more."""
        before, most, ending = self.memory, [0], threading.Event()

        def watch() -> None:
            while not ending.wait(0.05):
                most[0] = max(most[0], self.memory)

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield
        finally:
            ending.set()
            watching.join()
        grown = (max(most[0], self.memory) - before) // 2**20
        assert grown < mebibytes, f"{grown} MiB more"

    def check(self) -> None:
        """It is the process that it was."""
        assert self._envoy.is_running()
        assert self._envoy.status() != psutil.STATUS_ZOMBIE

    def log(self) -> list[dict[str, Any]]:
        """The lines of its log, all of which are JSON in UTF-8, and hold no key."""
        text = StateFolder.of(self.gateway.project, self.gateway.stack).current.read_bytes().decode()
        for key in (CALM, WILD, SMALL, BARRED):
            assert key not in text
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@contextmanager
def arena(folder: Path) -> Iterator[Arena]:
    """Serves."""
    keys = {
        f"CORRAL_TENANT_{name.upper()}_KEYS": key
        for name, key in {"calm": CALM, "wild": WILD, "small": SMALL, "barred": BARRED}.items()
    }
    with recorder() as host, serving(folder, _stack(host.port), environment=keys) as gateway:
        socket = httpx.HTTPTransport(uds=gateway.running.admin_socket)
        with gateway.control() as control, httpx.Client(transport=socket, base_url="http://envoy") as admin:
            yield Arena(gateway, host, control, admin)
