"""Clients of the libraries that people use, on hosts that do not take the same: whichever was drawn, the library
accepts the answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.built_programs import UnavailableError
from tests.clients.programs import NODE, PYTHON
from tests.local.gateway import Gateway, serving

TIMES = 40
MODEL = "llama-3.3-70b"
STACK: dict[str, Any] = {
    "corral:engine": {"simulate": "always"},
    "corral:hosts": {
        "bedrock": {"region": "us-east-1"},
        "azure": {"location": "eastus2"},
        "vllm": {"region": "us-east-1", "modelWeights": {MODEL: "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"}},
        "deepinfra": {},
        "together": {},
        "lab": {
            "kind": "openai",
            "url": "https://lab.example.com/v1",
            "models": {MODEL: "Llama-3.3-70B"},
            "takes": {"messages": True, "rerank": True},
        },
    },
    "corral:models": {
        MODEL: {
            "shares": {"bedrock": 40, "azure": 20, "vllm": 15, "deepinfra": 10, "lab": 15},
            "fallback": ["together"],
        }
    },
}
ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="c-") as machine, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", machine)
        with serving(Path(machine, "project"), STACK) as gateway:
            yield gateway


def environment(client: str) -> tuple[list[str], Mapping[str, str]]:
    """How a client is started, and with which environment; skips where its libraries cannot be had."""
    name, _, kind = client.rpartition(".")
    try:
        if kind == "js":
            if (node := shutil.which("node")) is None:
                raise UnavailableError("there is no node on PATH")
            return [node, str(HERE / client)], {"NODE_PATH": str(NODE.folder() / "node_modules")}
        if client == "use_openai.py":
            return [sys.executable, "-m", f"tests.clients.{name}"], {"PYTHONPATH": str(ROOT)}
        paths = os.pathsep.join((str(PYTHON.folder() / "packages"), str(ROOT)))
    except UnavailableError as why:
        pytest.skip(str(why))
    # without its own packages, some of which are other versions; to compile LlamaIndex takes longer than its requests
    return [sys.executable, "-S", "-m", f"tests.clients.{name}"], {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": ""}


CLIENTS = (
    "use_openai.py",
    "use_langchain.py",
    "use_llama_index.py",
    "use_anthropic.py",
    "use_openai.js",
    "use_ai_sdk.js",
    "use_llama_stack.js",
)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_accepts_each_answer_whichever_host_was_drawn(gateway: Gateway, client: str):
    command, more = environment(client)
    process = subprocess.run(
        [*command, gateway.url, MODEL, str(TIMES)],
        capture_output=True,
        text=True,
        env={**os.environ, **more},
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    outcome: dict[str, dict[str, Any]] = json.loads(process.stdout)
    assert outcome
    assert {
        kind: (seen["accepted"], seen["failures"], [*seen["statuses"]], len(seen["hosts"]) > 1)
        for kind, seen in outcome.items()
    } == dict.fromkeys(outcome, (TIMES, {}, ["200"], True))


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on PATH")
@pytest.mark.parametrize("stream", ["false", "true"], ids=["whole", "streamed"])
def test_curl_gets_an_answer_each_time_from_several_hosts(gateway: Gateway, stream: str):
    body = f'{{"model": "{MODEL}", "stream": {stream}, "messages": [{{"role": "user", "content": "How are you?"}}]}}'
    header = ("-H", "content-type: application/json")
    url = f"{gateway.url}/chat/completions?[1-{TIMES}]"
    process = subprocess.run(
        ["curl", "--silent", "--include", url, *header, "-d", body], capture_output=True, text=True, check=True
    )
    hosts = Counter(re.findall(r"^x-corral-host: (\S+)", process.stdout, re.MULTILINE))
    assert (process.stdout.count("HTTP/1.1 200 OK"), hosts.total(), len(hosts) > 1) == (TIMES, TIMES, True)
    assert process.stdout.count('"finish_reason":"stop"') == TIMES
