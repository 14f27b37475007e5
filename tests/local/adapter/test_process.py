"""The adapter's process and its parent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.local.adapter.conftest import LLAMA, Adapter, bedrock, replicate
from tests.simulated.process import SimulatedProcess

MESSAGES: Any = [{"role": "user", "content": "hello"}]


def test_hosts_come_and_go_while_it_runs(new_adapter: Adapter, simulated: SimulatedProcess):
    client = new_adapter.client("bedrock")
    new_adapter.serve([bedrock(simulated.port)])
    assert client.chat.completions.create(model=LLAMA, messages=MESSAGES).model == LLAMA
    new_adapter.serve([replicate(simulated.port)])
    with pytest.raises(Exception, match="the adapter knows no such host"):
        client.chat.completions.create(model=LLAMA, messages=MESSAGES)


def test_a_host_that_goes_finishes_what_it_began(new_adapter: Adapter, simulated: SimulatedProcess):
    simulated.control.set_speed("bedrock", tokens_per_second=20)
    new_adapter.serve([bedrock(simulated.port)])
    stream = new_adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=MESSAGES, stream=True)
    text = next(iter(stream)).choices[0].delta.content or ""
    assert new_adapter.serve([]) == b'{"error": null}\n'
    text += "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == f"bedrock (simulated) answers as {LLAMA}: hello"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"[]", None),
        (b"{", "the hosts are not described as they should be (1 errors)"),
        (b'[{"protocol": "openai"}]', "the hosts are not described as they should be (1 errors)"),
    ],
)
def test_it_answers_every_line(new_adapter: Adapter, line: bytes, error: str | None):
    assert json.loads(new_adapter.say(line)) == {"error": error}


def test_a_host_that_cannot_be_served_leaves_the_present_ones(new_adapter: Adapter, simulated: SimulatedProcess):
    new_adapter.serve([bedrock(simulated.port)])
    without = replicate(simulated.port).model_copy(update={"ca": "/nowhere/ca.pem"})
    assert "No such file" in json.loads(new_adapter.serve([without]))["error"]
    assert new_adapter.client("bedrock").chat.completions.create(model=LLAMA, messages=MESSAGES).model == LLAMA


def test_it_ends_with_its_parent(new_adapter: Adapter, until: Callable[[Callable[[], bool]], None]):
    assert new_adapter.process.stdin
    new_adapter.process.stdin.close()
    until(lambda: new_adapter.process.poll() is not None)
    assert new_adapter.process.returncode == 0


def test_without_a_token_it_does_not_start():
    ended = subprocess.run(
        [sys.executable, "-m", "corral.local.adapter", "--fd", "0"], capture_output=True, text=True, env={}, check=False
    )
    assert ended.returncode == 2
    assert "CORRAL_ADAPTER_TOKEN must hold the token" in ended.stderr
