"""The adapter of a cluster: the command of its image as a real process, with the file that its pod has mounted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from corral.config.cluster import Replicas
from corral.hosts.adapted.description import STATE_FILE, AdaptedHost, AdapterState, Limits
from corral.hosts.adapted.manifests import FOLDER, PORT, Pods, manifests
from corral.simulated.loopback import bind
from tests.local.adapter.conftest import LLAMA, MAVERICK, TOKEN, bedrock, replicate
from tests.local.gateway import chat, serving, until
from tests.simulated.process import SimulatedProcess

ROOT = Path(__file__).parents[3]
MESSAGES: Any = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def command(folder: Path, port: int) -> list[str]:
    """What the image runs, with the arguments of the pod."""
    lines = (ROOT / "images" / "adapter" / "Dockerfile").read_text().splitlines()
    (entry,) = (line.removeprefix("ENTRYPOINT ") for line in lines if line.startswith("ENTRYPOINT "))
    pods = Pods("replicate", "adapter:1", Replicas(), 60, "gateway", "digest", {}, credentials=False)
    pod = manifests(pods)["deployment"]["spec"]["template"]["spec"]
    here = {FOLDER: str(folder), str(PORT): str(port)}
    python, *arguments = [*json.loads(entry), *(here.get(each, each) for each in pod["containers"][0]["args"])]
    assert python == "python"
    return [sys.executable, *arguments]


class ClusterAdapter:
    """A running one."""

    def __init__(self, folder: Path, *hosts: AdaptedHost) -> None:
        self.folder = folder
        self.write(*hosts)
        with bind(0) as free:
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            command(folder, self.port), env={**os.environ, "PYTHONPATH": "components"}, cwd=ROOT, stderr=subprocess.PIPE
        )
        until(self.healthy, "the adapter answers")

    def write(self, *hosts: AdaptedHost, token: str = TOKEN, body: int = 10_000, concurrent: int = 8) -> None:
        """As the kubelet does: the former file is another one's place in an instant."""
        state = AdapterState(
            token=token, limits=Limits(body=body, concurrent=concurrent), drain_timeout=10_000, hosts=hosts
        )
        new = self.folder / "new"
        new.write_text(state.model_dump_json())
        new.rename(self.folder / STATE_FILE)

    def healthy(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health").status_code == 200
        except httpx.TransportError:
            return False

    def url(self, host: str = "replicate") -> str:
        return f"http://127.0.0.1:{self.port}/{host}/v1"

    def ask(self, model: str = MAVERICK, host: str = "replicate", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": MESSAGES, **more}
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.post(f"{self.url(host)}/chat/completions", json=body, headers=headers, timeout=30)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def cluster_adapter(tmp_path: Path, simulated: SimulatedProcess) -> Iterator[ClusterAdapter]:
    running = ClusterAdapter(tmp_path, replicate(simulated.port), bedrock(simulated.port))
    yield running
    running.end()


def test_a_file_is_taken_when_it_stands_there_and_one_that_cannot_be_leaves_what_is_served(
    cluster_adapter: ClusterAdapter, simulated: SimulatedProcess
):
    assert cluster_adapter.ask().json()["choices"][0]["message"]["content"].endswith("hello")
    assert cluster_adapter.ask(LLAMA, "bedrock").status_code == 200
    cluster_adapter.write(replicate(simulated.port, key="another-NEVER"))
    until(lambda: cluster_adapter.ask().status_code == 401, "the new key, which is wrong here, is sent")
    assert cluster_adapter.ask(LLAMA, "bedrock").status_code == 404
    (cluster_adapter.folder / STATE_FILE).write_text('{"token": "NEVER"}')
    assert cluster_adapter.process.stderr
    assert b"it is not what it should be (3 errors); what was served stays" in cluster_adapter.process.stderr.readline()
    assert cluster_adapter.ask().status_code == 401


def test_it_takes_no_more_than_its_limits(cluster_adapter: ClusterAdapter, simulated: SimulatedProcess):
    too_large = cluster_adapter.ask(messages=[{"role": "user", "content": "x" * 10_000}])
    assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "request_too_large")
    cluster_adapter.write(replicate(simulated.port), concurrent=0)
    until(lambda: cluster_adapter.ask().status_code == 503, "no request is taken")
    assert cluster_adapter.ask().json()["error"]["code"] == "overloaded"
    assert cluster_adapter.healthy()


def test_after_its_signal_it_finishes_what_it_has_begun(cluster_adapter: ClusterAdapter, simulated: SimulatedProcess):
    simulated.control.set_speed("replicate", tokens_per_second=10)
    client = openai.OpenAI(base_url=cluster_adapter.url(), api_key=TOKEN, max_retries=0)
    stream = client.chat.completions.create(model=MAVERICK, messages=MESSAGES, stream=True)
    text = next(iter(stream)).choices[0].delta.content or ""
    cluster_adapter.process.send_signal(signal.SIGTERM)
    until(lambda: not cluster_adapter.healthy(), "it takes nothing new")
    text += "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == f"replicate (simulated) answers as {MAVERICK}: hello"
    assert cluster_adapter.process.wait(10) == 0


def test_a_file_that_cannot_be_taken_at_the_start_is_an_error(tmp_path: Path):
    ended = subprocess.run(command(tmp_path, 1), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (
        2, "python -m corral.local.adapter: error: it cannot be read: No such file or directory"
    )  # fmt: skip


def test_through_envoy_what_the_host_cannot_take_another_one_answers(
    cluster_adapter: ClusterAdapter, simulated: SimulatedProcess, tmp_path: Path
):
    described = replicate(simulated.port)
    facts = {name: each.model_copy(update={"moves_on": True}) for name, each in described.models.items()}
    cluster_adapter.write(described.model_copy(update={"models": facts}))
    until(lambda: cluster_adapter.ask(tools=TOOLS).status_code == 424, "its refusals send a request on")
    stack = {
        "corral:engine": {"simulate": "withoutKey"},
        "corral:hosts": {
            "replicate": {"kind": "openai", "url": cluster_adapter.url(), "models": {"m": MAVERICK}},
            "groq": {"models": {"m": "groq-m"}, "keyVariable": "NO_SUCH_KEY"},
        },
        "corral:models": {"m": {"shares": {"replicate": 100}, "fallback": ["groq"]}},
    }
    with serving(tmp_path / "project", stack, environment={"REPLICATE_API_KEY": TOKEN}) as gateway:
        answers = [chat(gateway.url), chat(gateway.url, stream=True), chat(gateway.url, tools=TOOLS)]
        elsewhere = httpx.post(f"{gateway.url}/completions", json={"model": "m", "prompt": "hello"}, timeout=60)
    assert [answer.status_code for answer in (*answers, elsewhere)] == [200] * 4
    hosts = [answer.headers["x-corral-host"] for answer in (*answers, elsewhere)]
    assert hosts == ["replicate", "replicate", "groq", "groq"]
    assert answers[0].json()["choices"][0]["message"]["content"].endswith("hello")
    assert answers[1].text.endswith("data: [DONE]\n\n")


def test_the_image_has_the_versions_of_the_project():
    def pins(folder: Path) -> set[str]:
        """Names with versions, and hashes, without what says where they are wanted."""
        return {line.split(" ;")[0].strip(" \\") for line in (folder / "requirements.lock").read_text().splitlines()}

    assert {"boto3", "uvicorn"} <= {pin.partition("==")[0] for pin in pins(ROOT / "images" / "adapter")}
    assert pins(ROOT / "images" / "adapter") - pins(ROOT) == set()
