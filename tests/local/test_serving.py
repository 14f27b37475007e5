"""The gateway as its clients meet it: a real Envoy, simulated hosts, the official client."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.local.gateway import Gateway, chat, serving

STACK: dict[str, Any] = {
    "aws:region": "us-east-1",
    "corral:engine": {"simulate": "always"},
    "corral:hosts": {
        "azure": {"location": "eastus2"},
        "bedrock": {},
        "vllm": {"modelWeights": {"llama-3.3-70b": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"}},
        "deepinfra": {"models": {"org/with:odd.name": "deepinfra/odd", "percent": "100%{x}"}},
        "together": {},
        "replicate": {"models": {"on-replicate": "meta/some-model"}},
    },
    "corral:models": {
        "llama-3.3-70b": {"shares": {"bedrock": 50, "azure": 30, "vllm": 20}, "fallback": ["deepinfra", "together"]},
        "on-azure": {"shares": {"azure": 100}},
        "on-replicate": {"shares": {"replicate": 100}},
        "on-vllm": {"shares": {"vllm": 100}},
        "org/with:odd.name": {"shares": {"deepinfra": 100}},
        "percent": {"shares": {"deepinfra": 100}},
    },
}
STACK["corral:hosts"]["azure"]["models"] = {"on-azure": "my-deployment"}
STACK["corral:hosts"]["vllm"]["modelWeights"]["on-vllm"] = "some/weights"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("serving") / "project", STACK) as gateway:
        yield gateway


def test_the_official_client_gets_an_answer(gateway: Gateway) -> None:
    answer = gateway.client().chat.completions.create(
        model="llama-3.3-70b", messages=[{"role": "user", "content": "hello"}]
    )
    assert answer.choices[0].message.content
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_official_client_gets_a_stream(gateway: Gateway) -> None:
    stream = gateway.client().chat.completions.create(
        model="llama-3.3-70b",
        messages=[{"role": "user", "content": "hello"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.endswith("hello")
    assert chunks[-1].usage


def test_completions_embeddings_and_responses_are_routed_too(gateway: Gateway) -> None:
    client = gateway.client()
    assert client.completions.create(model="on-azure", prompt="hello").choices[0].text
    assert client.embeddings.create(model="on-vllm", input="hello").data[0].embedding
    assert client.responses.create(model="org/with:odd.name", input="hello").output_text
    events = list(client.responses.create(model="on-vllm", input="hello", stream=True))
    assert events[-1].type == "response.completed"


TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}

OUTCOMES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("/chat/completions", {}, {"azure", "bedrock", "vllm"}),
    ("/chat/completions", {"reasoning_effort": "low", "stream": True}, {"azure", "bedrock", "vllm"}),
    ("/chat/completions", {"response_format": {"type": "json_object"}}, {"azure", "vllm"}),
    ("/chat/completions", {"response_format": SCHEMA}, {"azure", "vllm"}),
    ("/chat/completions", {"seed": 1, "stream": True}, {"azure", "vllm"}),
    ("/chat/completions", {"n": 2}, {"azure", "vllm"}),
    ("/chat/completions", {"logprobs": True}, {"azure", "vllm"}),
    ("/chat/completions", {"frequency_penalty": 1}, {"azure", "vllm"}),
    ("/chat/completions", {"service_tier": "flex"}, {"azure", "vllm"}),
    ("/chat/completions", {"tools": TOOLS, "parallel_tool_calls": False}, {"bedrock", "vllm"}),
    ("/chat/completions", {"tools": TOOLS, "stream": True}, {"bedrock", "vllm"}),
    ("/chat/completions", {"tools": TOOLS, "tool_choice": "required"}, {"vllm"}),
    ("/chat/completions", {"max_tokens": 9_000}, {"bedrock", "vllm"}),
    ("/completions", {"prompt": "hello"}, {"azure", "vllm"}),
    ("/responses", {"input": "hello"}, {"azure", "vllm"}),
    ("/embeddings", {"input": "hello"}, {"azure"}),
]


@pytest.mark.parametrize(
    ("path", "more", "hosts"), OUTCOMES, ids=lambda each: str(sorted(each)) if isinstance(each, set) else str(each)
)
def test_the_outcome_of_a_request_does_not_depend_on_the_host_that_was_drawn(
    gateway: Gateway, path: str, more: dict[str, Any], hosts: set[str]
) -> None:
    body = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "x"}], **more}
    with httpx.Client() as client:
        answers = [client.post(f"{gateway.url}{path}", json=body) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    assert {answer.headers["x-corral-host"] for answer in answers} <= hosts
    assert not [answer for answer in answers if "x-corral-unsupported" in answer.headers]


def test_what_no_host_of_a_model_takes_is_refused_by_name(gateway: Gateway) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    answer = chat(gateway.url, "llama-3.3-70b", messages=[{"role": "user", "content": [part]}])
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        {
            "message": "No host of llama-3.3-70b takes this: vision.",
            "type": "invalid_request_error",
            "code": "unsupported_parameter",
            "param": "messages",
        },
    )


@pytest.mark.parametrize(
    ("model", "host", "model_id"),
    [
        ("on-azure", "azure", "my-deployment"),
        ("on-replicate", "replicate", "meta/some-model"),
        ("on-vllm", "vllm", "on-vllm"),
        ("org/with:odd.name", "deepinfra", "deepinfra/odd"),
        ("percent", "deepinfra", "100%{x}"),
    ],
)
def test_a_host_gets_its_own_id_and_answers_for_itself(gateway: Gateway, model: str, host: str, model_id: str) -> None:
    answer = chat(gateway.url, model)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-corral-host"] == host
    assert answer.headers["x-corral-attempts"] == "1"
    assert model_id in answer.json()["choices"][0]["message"]["content"]


def test_the_models_of_the_stack_are_listed(gateway: Gateway) -> None:
    assert [model.id for model in gateway.client().models.list()] == sorted(STACK["corral:models"])
    for name in STACK["corral:models"]:
        assert gateway.client().models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError, match="The model gpt-5 does not exist here"):
        gateway.client().models.retrieve("gpt-5")
    head = httpx.head(f"{gateway.url}/models")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == httpx.get(f"{gateway.url}/models").headers["content-length"]


def test_weights_are_exact(gateway: Gateway) -> None:
    number = 600
    with httpx.Client() as client:
        body = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "x"}]}
        hosts = Counter(
            client.post(f"{gateway.url}/chat/completions", json=body).headers["x-corral-host"] for _ in range(number)
        )
    for host, share in STACK["corral:models"]["llama-3.3-70b"]["shares"].items():
        deviation = math.sqrt(number * share / 100 * (1 - share / 100))
        assert abs(hosts[host] - number * share / 100) < 4 * deviation, hosts
    assert hosts.keys() == {"bedrock", "azure", "vllm"}


def test_a_body_of_20_mib_passes_and_one_over_50_mib_does_not(gateway: Gateway) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * (20 * 2**20)}}
    body = {"model": "on-vllm", "messages": [{"role": "user", "content": [image, {"type": "text", "text": "see"}]}]}
    assert httpx.post(f"{gateway.url}/chat/completions", json=body, timeout=60).status_code == 200
    with pytest.raises(openai.APIStatusError) as refused:
        gateway.client().chat.completions.create(
            model="on-vllm", messages=[{"role": "user", "content": "A" * (51 * 2**20)}]
        )
    assert refused.value.status_code == 413
    assert refused.value.code == "request_too_large"


MODELS = ", ".join(sorted(STACK["corral:models"]))
REFUSALS = [
    ("no model", "POST", "chat/completions", b'{"messages": []}', 400, "model_required", 'names no "model"'),
    ("not JSON", "POST", "chat/completions", b"hello", 400, "invalid_json", "is not a JSON object"),
    ("nothing", "POST", "chat/completions", b"", 400, "invalid_json", "is not a JSON object"),
    ("empty model", "POST", "embeddings", b'{"model": ""}', 400, "model_required", 'names no "model"'),
    ("unknown model", "POST", "responses", b'{"model": "gpt-5"}', 404, "model_not_found", f"Models: {MODELS}."),
    ("quoted", "POST", "completions", b'{"model": "a\\"b"}', 404, "model_not_found", "'a?b' does not exist"),
    ("a list", "POST", "completions", b'{"model": ["m"]}', 400, "model_required", 'names no "model"'),
    ("long", "POST", "completions", b'{"model": "%s"}' % (b"x" * 100_000), 404, "model_not_found", "xxx' does not"),
    ("wrong method", "GET", "chat/completions", b"", 405, "method_not_allowed", "Use POST"),
    ("wrong method", "POST", "models", b"{}", 405, "method_not_allowed", "Use GET, HEAD"),
    ("unknown path", "POST", "images/generations", b'{"model": "m"}', 404, "unknown_url", "nothing at this path"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "message"),
    [row[1:] for row in REFUSALS],
    ids=[row[0] for row in REFUSALS],
)
def test_what_cannot_be_routed_is_refused_in_openai_s_shape(
    gateway: Gateway, method: str, path: str, body: bytes, status: int, code: str, message: str
) -> None:
    answer = httpx.request(method, f"{gateway.url}/{path}", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "code", "param"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert message in error["message"]


def test_a_client_can_neither_choose_the_host_nor_see_or_set_its_credential(gateway: Gateway) -> None:
    answer = httpx.post(
        f"{gateway.url}/chat/completions",
        json={"model": "on-azure", "messages": [{"role": "user", "content": "x"}]},
        headers={
            "authorization": "Bearer a client's",
            "api-key": "a client's",
            "x-corral-model": "on-vllm",
            "x-corral-host": "vllm",
        },
    )
    assert (answer.status_code, answer.headers["x-corral-host"]) == (200, "azure")


def test_no_key_is_in_envoy_s_configuration_dump_nor_readable_by_others(gateway: Gateway) -> None:
    root = Path(gateway.running.admin_socket).parent
    files = sorted((root / "secrets").iterdir())
    keys = {file.read_text().removeprefix("Bearer ") for file in files}
    assert len(keys) == 5, "those of four hosts, and the adapter's"
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert root.stat().st_mode & 0o777 == 0o700
    dump = gateway.admin("/config_dump?include_eds")
    assert "host/deepinfra@" in dump
    assert not [key for key in keys if key in dump]
    assert not [key for key in keys if key in gateway.said()]


def test_status_tells_what_envoy_has_counted(gateway: Gateway) -> None:
    for _ in range(4):
        chat(gateway.url, "percent")
    said = gateway.run("status", "--json")
    assert said.returncode == 0, said.stderr
    models = {model["model"]: model for model in json.loads(said.stdout)["models"]}
    host = models["percent"]["hosts"][0]
    assert (host["host"], host["declared"], host["observed"]) == ("deepinfra", 100, 100)
    assert host["requests"] == models["percent"]["requests"] >= 4
    assert [each["simulated"] for each in models["llama-3.3-70b"]["hosts"]] == ["asked for"] * 5
    text = gateway.run("status")
    assert "llama-3.3-70b" in text.stdout
    assert "DECLARED" in text.stdout


def test_what_the_gateway_counts_is_what_the_hosts_count(gateway: Gateway) -> None:
    def seen() -> int:
        with gateway.control() as control:
            return sum(
                count.requests for count in control.state().counts if count.host == "deepinfra" and count.status == 200
            )

    def counted() -> int:
        attempts = gateway.gauges("^corral.attempts")
        return sum(value for name, value in attempts.items() if ".host.deepinfra.code.200" in name)

    before = seen(), counted()
    for _ in range(25):
        assert chat(gateway.url, "org/with:odd.name").status_code == 200
    assert (seen() - before[0], counted() - before[1]) == (25, 25)
