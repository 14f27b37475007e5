"""Simulated hosts to ask: in this process, through an ASGI client without sockets, and as a real child process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from openai import OpenAI
from starlette.testclient import TestClient

from corral.catalog.catalog import Takes
from corral.simulated.hosts import SimulatedHost
from corral.simulated.server import simulated_app
from corral.simulated.simulation import Simulation
from tests.simulated.process import SimulatedProcess

GROQ = SimulatedHost(
    name="groq",
    path="/openai/v1",
    header="authorization",
    key="groq-key",
    models={"llama-3.3-70b-versatile": Takes(), "llama-3.1-8b-instant": Takes()},
)
AZURE = SimulatedHost(
    name="azure",
    path="/openai/v1",
    header="api-key",
    key="azure-key",
    models={"Llama-3.3-70B-Instruct": Takes(tools=False, vision=False)},
)
BEDROCK = SimulatedHost(
    name="bedrock",
    path="/v1",
    header="authorization",
    key="bedrock-key",
    models={"us.meta.llama3-3-70b-instruct-v1:0": Takes(tools=True, tools_while_streaming=False)},
)
LAB = SimulatedHost(name="lab", path="", header=None, key=None, models={"Llama 3.3": Takes(streaming=False)})
HOSTS = (GROQ, AZURE, BEDROCK, LAB)


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(HOSTS)


@pytest.fixture
def client(simulation: Simulation) -> TestClient:
    return TestClient(simulated_app(simulation, "the-token"), base_url="http://127.0.0.1")


def official(client: TestClient, *, strict: bool) -> OpenAI:
    """The official client of `groq`, without sockets."""
    return OpenAI(
        base_url="http://127.0.0.1/groq/openai/v1",
        api_key="groq-key",
        http_client=client,
        max_retries=0,
        _strict_response_validation=strict,
    )


@pytest.fixture
def groq(client: TestClient) -> OpenAI:
    """The official client of `groq`; what is not shaped as its types say is an error."""
    return official(client, strict=True)


@pytest.fixture
def lenient_groq(client: TestClient) -> OpenAI:
    """The same, for what OpenAI itself sends otherwise: base64 embeddings, null as a `finish_reason` of completions."""
    return official(client, strict=False)


@pytest.fixture(scope="session")
def process() -> Iterator[SimulatedProcess]:
    """One real process for all tests; see `child`."""
    started = SimulatedProcess.start(HOSTS)
    yield started
    started.stop()


@pytest.fixture
def child(process: SimulatedProcess) -> SimulatedProcess:
    """The real process, with the hosts above, at full speed and without a fault."""
    process.serve(())
    process.serve(HOSTS)
    return process


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for a condition."""

    def wait(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, "the condition never came"
            time.sleep(0.005)

    return wait
