"""Hosts that do not speak OpenAI's protocol, behind a running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from corral.catalog.catalog import Takes
from corral.simulated.hosts import SimulatedHost
from tests.local.gateway import Gateway, Load, chat, serving, until
from tests.simulated.process import SimulatedProcess

STACK: dict[str, Any] = {
    "aws:region": "us-east-1",
    "corral:engine": {"simulate": "always"},
    "corral:hosts": {"bedrock": {}, "replicate": {"models": {"m": "meta/some-model"}}, "groq": {"models": {"m": "g"}}},
    "corral:models": {"llama-3.3-70b": {"shares": {"bedrock": 100}}, "m": {"shares": {"replicate": 100}}},
}
LLAMA = "llama-3.3-70b"


@pytest.fixture
def gateway(project: Path) -> Iterator[Gateway]:
    with serving(project, STACK) as gateway:
        yield gateway


def adapter_of(gateway: Gateway) -> psutil.Process | None:
    assert gateway.process
    children = psutil.Process(gateway.process.pid).children()
    return next((child for child in children if "corral.local.adapter" in child.cmdline()), None)


def test_an_adapter_that_dies_is_started_again_and_no_request_is_lost_that_comes_meanwhile(gateway: Gateway):
    former = adapter_of(gateway)
    assert former
    former.kill()
    former.wait()
    assert chat(gateway.url, LLAMA).status_code == 200
    assert until(lambda: adapter_of(gateway), "there is an adapter again").pid != former.pid
    assert "The adapter died; it is started again." in gateway.said()


def test_it_ends_with_the_gateway_however_that_ends(gateway: Gateway):
    adapter = adapter_of(gateway)
    assert adapter
    assert gateway.process
    gateway.process.kill()
    gateway.process.wait()
    adapter.wait(10)


def test_its_keys_are_in_no_argument(gateway: Gateway):
    adapter = adapter_of(gateway)
    assert adapter
    secrets = Path(gateway.running.admin_socket).parent / "secrets"
    (shown,) = {file.read_text() for file in secrets.iterdir() if "bedrock" in file.name}
    assert not [argument for argument in adapter.cmdline() if len(argument) > 20 and argument in shown]


def test_a_move_to_and_from_it_loses_nothing(gateway: Gateway):
    def shares(**shares: int) -> dict[str, Any]:
        return STACK | {"corral:models": {"m": {"shares": shares}}}

    with Load(gateway.url, "m", clients=2, stream=False) as load:
        load.more(20)
        for share in (0, 50, 100):
            gateway.move(shares(replicate=share, groq=100 - share))
            load.more(20)
    assert load.failures == []
    assert {"groq", "replicate"} <= load.answered.keys()


def test_a_stream_with_tools_is_answered(gateway: Gateway):
    tools: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    with gateway.client().chat.completions.stream(
        model=LLAMA, messages=[{"role": "user", "content": "look"}], tools=tools
    ) as chunks:
        (choice,) = chunks.get_final_completion().choices
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "look"


def test_what_only_the_adapter_knows_that_a_host_does_not_take_another_host_answers(gateway: Gateway):
    mixed = {LLAMA: {"shares": {"bedrock": 90, "groq": 10}}, "m": {"shares": {"replicate": 90, "groq": 10}}}
    models = {"groq": {"models": {LLAMA: "g", "m": "g"}}}
    gateway.move(STACK | {"corral:hosts": STACK["corral:hosts"] | models, "corral:models": mixed})
    for model, more in (
        (LLAMA, {"temperature": 1.5}),
        (LLAMA, {"service_tier": "priority"}),
        ("m", {"logit_bias": {"1": 1}}),
    ):
        answers = [chat(gateway.url, model, **more) for _ in range(10)]
        assert {(answer.status_code, answer.headers["x-corral-host"]) for answer in answers} == {(200, "groq")}
        assert not [answer for answer in answers if "x-corral-unsupported" in answer.headers]


def test_what_no_host_of_a_model_takes_is_the_client_s_to_read(gateway: Gateway):
    for more in ({"seed": 1}, {"logit_bias": {"1": 1}}):
        answer = chat(gateway.url, LLAMA, **more)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "unsupported_parameter")
        assert error["param"] == next(iter(more))


def test_bedrock_is_real_with_credentials_of_this_machine(project: Path):
    model = "us.meta.llama3-3-70b-instruct-v1:0"
    host = SimulatedHost(
        name="elsewhere",
        path="",
        header="authorization",
        key="a-secret",
        models={model: Takes()},
        protocol="bedrock-converse",
    )
    elsewhere = SimulatedProcess.start([host])
    stack: dict[str, Any] = {
        "aws:region": "us-east-1",
        "corral:engine": {"simulate": "never"},
        "corral:hosts": {"bedrock": {"url": host.base_url(elsewhere.port), "guardrail": {}}},
        "corral:models": {LLAMA: {"shares": {"bedrock": 100}}},
    }
    signing = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-secret"}
    try:
        with serving(project, stack, environment=signing) as gateway:
            assert gateway.running.simulated == {"bedrock": None}
            until(lambda: f"guardrail/{LLAMA}/bedrock" in gateway.said(), "that it has no guardrail is said")
            answer = chat(gateway.url, LLAMA)
            assert (answer.status_code, answer.headers["x-corral-host"]) == (200, "bedrock")
            said = answer.json()["choices"][0]["message"]["content"]
            assert said == f"elsewhere (simulated) answers as {model}: hello"
    finally:
        elsewhere.stop()
