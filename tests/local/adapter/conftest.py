"""The adapter as a real process, in front of simulated hosts in another."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import openai
import pytest

from corral.catalog.catalog import Takes
from corral.hosts.adapted.description import (
    HOSTS,
    TOKEN_VARIABLE,
    AdaptedHost,
    AdaptedModel,
    AwsKey,
    BedrockHost,
    ReplicateHost,
)
from corral.simulated.hosts import SimulatedHost
from tests.simulated.process import SimulatedProcess

LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
SCOUT = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/scout"
MAVERICK = "meta/llama-4-maverick-instruct"
BIG = "meta/meta-llama-3.1-405b-instruct"
TOKEN = "the-token"

SIMULATED = (
    SimulatedHost(
        name="bedrock",
        path="",
        header="authorization",
        key="bedrock-key",
        models={LLAMA: Takes(tools_while_streaming=False, vision=True), SCOUT: Takes()},
        protocol="bedrock-converse",
    ),
    SimulatedHost(
        name="replicate",
        path="/v1",
        header="authorization",
        key="replicate-key",
        models={MAVERICK: Takes(tools=False), BIG: Takes(tools=False)},
        protocol="replicate",
    ),
)


def bedrock(port: int, secret: str = "bedrock-key", idle_timeout: int = 30_000) -> BedrockHost:
    return BedrockHost(
        name="bedrock",
        url=f"http://127.0.0.1:{port}/bedrock",
        ca=None,
        connect_timeout=2_000,
        idle_timeout=idle_timeout,
        models={LLAMA: AdaptedModel(tools_while_streaming=False), SCOUT: AdaptedModel(tools_while_streaming=True)},
        region="us-east-1",
        key=AwsKey(id="simulated", secret=secret),
    )


def replicate(port: int, key: str = "replicate-key", idle_timeout: int = 30_000) -> ReplicateHost:
    return ReplicateHost(
        name="replicate",
        url=f"http://127.0.0.1:{port}/replicate/v1",
        ca=None,
        connect_timeout=2_000,
        idle_timeout=idle_timeout,
        models={MAVERICK: AdaptedModel(), BIG: AdaptedModel(output=4_096)},
        key=key,
    )


@dataclass(frozen=True)
class Adapter:
    """A running adapter."""

    process: subprocess.Popen[bytes]
    port: int

    def serve(self, hosts: Sequence[AdaptedHost]) -> bytes:
        """Tells it its hosts; its answer."""
        return self.say(HOSTS.dump_json(tuple(hosts)))

    def say(self, line: bytes) -> bytes:
        """Writes a line; the line that comes back."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def url(self, host: str) -> str:
        return f"http://127.0.0.1:{self.port}/{host}/v1"

    def client(self, host: str, token: str = TOKEN) -> openai.OpenAI:
        """The official client; what is not shaped as its types say is an error."""
        return openai.OpenAI(
            base_url=self.url(host), api_key=token, max_retries=0, timeout=30, _strict_response_validation=True
        )

    @classmethod
    def start(cls, **environment: str) -> Adapter:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            process = subprocess.Popen(
                [sys.executable, "-m", "corral.local.adapter", "--fd", str(listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[listening.fileno()],
                env={**os.environ, TOKEN_VARIABLE: TOKEN, **environment},
            )
            return cls(process, listening.getsockname()[1])

    def stop(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        if not self.process.stdin.closed:
            self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()


@pytest.fixture(scope="session")
def simulated_process() -> Iterator[SimulatedProcess]:
    started = SimulatedProcess.start(SIMULATED)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def adapter_process() -> Iterator[Adapter]:
    started = Adapter.start()
    yield started
    started.stop()


@pytest.fixture
def simulated(simulated_process: SimulatedProcess) -> SimulatedProcess:
    """The simulated hosts, at full speed and without a fault."""
    simulated_process.serve(())
    simulated_process.serve(SIMULATED)
    return simulated_process


@pytest.fixture
def adapter(adapter_process: Adapter, simulated: SimulatedProcess) -> Adapter:
    """The adapter, in front of them."""
    assert adapter_process.serve([bedrock(simulated.port), replicate(simulated.port)]) == b'{"error": null}\n'
    return adapter_process


@pytest.fixture
def new_adapter() -> Iterator[Adapter]:
    """An adapter of the test's own, without any host."""
    started = Adapter.start()
    yield started
    started.stop()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for a condition."""

    def wait(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, "the condition never came"
            time.sleep(0.005)

    return wait
