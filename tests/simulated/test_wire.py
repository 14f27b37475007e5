"""Who is let in, what is refused, and what is counted; the answers themselves are tested route by route."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from corral.catalog.catalog import Takes
from corral.simulated.hosts import SimulatedHost, Speed
from corral.simulated.simulation import Count, Fault, FaultKind, Simulation

GROQ, AZURE, BEDROCK, LAB = "/groq/openai/v1", "/azure/openai/v1", "/bedrock/v1", "/lab"
BIG, SMALL = "llama-3.3-70b-versatile", "llama-3.1-8b-instant"
NO_BEARER = "You didn't provide an API key. Provide it in an `Authorization: Bearer` header."
THE_HOSTS = "the hosts are azure, bedrock, groq, lab."
ITS_BASE = "its base URL ends in /groq/openai/v1."
KEY = {"authorization": "Bearer groq-key"}
TOOL: Any = {"type": "function", "function": {"name": "look"}}
IMAGE: Any = [{"type": "image_url", "image_url": {"url": "data:,"}}]


def chat(model: str = BIG, content: Any = "hello", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}]} | more


@pytest.mark.parametrize(
    ("base", "model", "headers"),
    [
        (GROQ, BIG, {"authorization": "Bearer groq-key"}),
        (GROQ, BIG, {"authorization": "bearer  groq-key"}),
        (AZURE, "Llama-3.3-70B-Instruct", {"api-key": "azure-key"}),
        (AZURE, "Llama-3.3-70B-Instruct", {"authorization": "Bearer azure-key"}),
        (AZURE, "Llama-3.3-70B-Instruct", {"authorization": "Bearer other", "api-key": "azure-key"}),
        (BEDROCK, "us.meta.llama3-3-70b-instruct-v1:0", {"authorization": "Bearer bedrock-key"}),
        (LAB, "Llama 3.3", {}),
        (LAB, "Llama 3.3", {"authorization": "Bearer anything"}),
    ],
)
def test_a_host_takes_its_own_credential(client: TestClient, base: str, model: str, headers: dict[str, str]):
    answer = client.post(f"{base}/chat/completions", json=chat(model), headers=headers)
    assert (answer.status_code, answer.json()["model"]) == (200, model)
    assert client.get(f"{base}/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("base", "headers", "message", "code"),
    [
        (GROQ, {}, NO_BEARER, None),
        (GROQ, {"api-key": "groq-key"}, NO_BEARER, None),
        (GROQ, {"authorization": "Basic groq-key"}, NO_BEARER, None),
        (GROQ, {"authorization": "Bearer azure-key"}, "Incorrect API key provided.", "invalid_api_key"),
        (GROQ, {"authorization": "Bearer gr\u00f6q"}, "Incorrect API key provided.", "invalid_api_key"),
        (AZURE, {}, "You didn't provide an API key. Provide it in an `api-key` header.", None),
        (AZURE, {"api-key": "groq-key"}, "Incorrect API key provided.", "invalid_api_key"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", ["/chat/completions", "/models"])
def test_a_missing_or_wrong_credential_is_refused(
    client: TestClient, base: str, headers: dict[str, str], message: str, code: str | None, route: str
):
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    sent: Any = {"headers": raw}
    answer = client.get(base + route, **sent) if route == "/models" else client.post(base + route, json=chat(), **sent)
    assert answer.status_code == 401
    host = base.split("/")[1]
    error = {"message": f"{host} (simulated): {message}", "type": "invalid_request_error", "param": None, "code": code}
    assert answer.json() == {"error": error}


@pytest.mark.parametrize(
    ("path", "model"), [(GROQ, "llama-3.3-70b"), (GROQ, "Llama-3.3-70B-Instruct"), (BEDROCK, BIG), (GROQ, "")]
)
def test_a_model_id_of_another_host_is_refused(client: TestClient, path: str, model: str):
    host = path.split("/")[1]
    answer = client.post(f"{path}/chat/completions", json=chat(model), headers={"authorization": f"Bearer {host}-key"})
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": f"{host} (simulated): The model `{model}` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


@pytest.mark.parametrize(
    ("route", "body", "param", "message"),
    [
        ("chat/completions", b"", None, "We could not parse the JSON body of your request"),
        ("chat/completions", b'{"model": ', None, "We could not parse the JSON body of your request"),
        ("chat/completions", b"[]", None, "the body: Input should be an object"),
        ("chat/completions", {"messages": [{"role": "user"}]}, "model", "model: Field required"),
        ("chat/completions", chat() | {"model": 7}, "model", "model: Input should be a valid string"),
        ("chat/completions", {"model": BIG}, "messages", "messages: Field required"),
        ("chat/completions", {"model": BIG, "messages": []}, "messages", "messages: List should have at least 1 item"),
        ("chat/completions", chat(max_tokens=0), "max_tokens", "max_tokens: Input should be greater than"),
        ("chat/completions", chat(n=129), "n", "n: Input should be less than or equal to 128"),
        ("chat/completions", chat(stream="yes"), "stream", "stream: Input should be a valid boolean"),
        ("chat/completions", chat(tool_choice="required"), None, "the body: Value error, tool_choice asks for"),
        ("chat/completions", chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "no"}}), None,
         "the body: Value error, tool_choice asks for"),
        ("completions", {"model": BIG}, "prompt", "prompt: Field required"),
        ("completions", {"model": BIG, "prompt": []}, "prompt", "prompt: Input should be"),
        ("embeddings", {"model": BIG}, "input", "input: Field required"),
        ("embeddings", {"model": BIG, "input": "a", "encoding_format": "hex"}, "encoding_format", "encoding_format: "),
        ("responses", {"model": BIG}, "input", "input: Field required"),
        ("responses", {"model": BIG, "input": "a", "tool_choice": "required"}, None, "the body: Value error"),
    ],
)  # fmt: skip
def test_a_body_that_the_route_does_not_take_is_refused(
    client: TestClient, route: str, body: Any, param: str | None, message: str
):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(f"{GROQ}/{route}", content=content, headers=KEY)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert error["message"].startswith(f"groq (simulated): {message}")


@pytest.mark.parametrize(
    ("facts", "more", "refused"),
    [
        (Takes(), {"stream": True, "tools": [TOOL]}, None),
        (Takes(streaming=False), {"stream": True}, "This model doesn't support streaming."),
        (Takes(streaming=False), {"stream": False}, None),
        (Takes(tools=False), {"tools": [TOOL]}, "This model doesn't support tool use."),
        (Takes(tools=False), {"tools": []}, None),
        (Takes(tools_while_streaming=False), {"stream": True, "tools": [TOOL]},
         "This model doesn't support tool use in streaming mode."),
        (Takes(tools_while_streaming=False), {"tools": [TOOL]}, None),
        (Takes(tools_while_streaming=False), {"stream": True}, None),
        (Takes(vision=False), {"content": IMAGE}, "This model doesn't support image input."),
        (Takes(vision=True), {"content": IMAGE}, None),
        (Takes(image_urls=False), {"content": IMAGE}, None),
        (Takes(image_urls=False), {"content": [{"type": "image_url", "image_url": {"url": "https://example.com/a"}}]},
         "This model doesn't support images that it has to fetch."),
        (Takes(json_mode=False), {"response_format": {"type": "json_object"}}, "This model doesn't support JSON mode."),
        (Takes(json_schema=False), {"response_format": {"type": "json_object"}}, None),
        (Takes(tool_choice=False), {"tools": [TOOL], "tool_choice": "required"},
         "This model doesn't support a forced tool."),
        (Takes(choices=False), {"n": 2}, "This model doesn't support n above 1."),
        (Takes(choices=False), {"n": 1}, None),
        (Takes(seed=False), {"seed": 0}, "This model doesn't support seed."),
        (Takes(logprobs=False), {"logprobs": True}, "This model doesn't support logprobs."),
        (Takes(penalties=False), {"frequency_penalty": 1}, "This model doesn't support penalties."),
    ],
)  # fmt: skip
def test_what_a_model_does_not_do_is_refused(
    client: TestClient, simulation: Simulation, facts: Takes, more: dict[str, Any], refused: str | None
):
    host = SimulatedHost(name="h", path="/v1", header=None, key=None, models={"id": facts})
    simulation.replace([host])
    answer = client.post("/h/v1/chat/completions", json=chat("id", **more))
    assert answer.status_code == (400 if refused else 200)
    if refused:
        assert answer.json()["error"]["message"] == f"h (simulated): {refused}"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/grok/v1/chat/completions", 404,
         f"Unknown request URL: POST /grok/v1/chat/completions; {THE_HOSTS}"),
        ("GET", "/", 404, f"Unknown request URL: GET /; {THE_HOSTS}"),
        ("POST", "/groq/v1/chat/completions", 404,
         f"groq (simulated): Unknown request URL: POST /groq/v1/chat/completions; {ITS_BASE}"),
        ("POST", "/groq/openai/v1/images", 404,
         f"groq (simulated): Unknown request URL: POST /groq/openai/v1/images; {ITS_BASE}"),
        ("GET", "/groq/openai/v1/chat/completions", 405,
         "groq (simulated): Not allowed here: GET /groq/openai/v1/chat/completions."),
        ("POST", "/groq/openai/v1/models", 405, "groq (simulated): Not allowed here: POST /groq/openai/v1/models."),
    ],
)  # fmt: skip
def test_a_wrong_path_says_where_the_host_is(client: TestClient, method: str, path: str, status: int, message: str):
    answer = client.request(method, path, headers=KEY)
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)


def test_the_model_list_holds_what_the_host_serves(client: TestClient):
    data = [{"id": model, "object": "model", "created": 0, "owned_by": "groq"} for model in (SMALL, BIG)]
    assert client.get(f"{GROQ}/models", headers=KEY).json() == {"object": "list", "data": data}


@pytest.mark.parametrize(
    ("kind", "status", "code", "retry_after"),
    [
        ("401", 401, "invalid_api_key", None),
        ("404", 404, "model_not_found", None),
        ("429", 429, "rate_limit_exceeded", "7"),
        ("500", 500, None, None),
        ("503", 503, None, None),
    ],
)
def test_a_faulty_host_answers_with_the_fault_and_the_others_as_ever(
    client: TestClient, simulation: Simulation, kind: FaultKind, status: int, code: str | None, retry_after: str | None
):
    simulation.faults.set("groq", Fault(kind=kind, retry_after=7))
    answer = client.post(f"{GROQ}/chat/completions", json=chat(), headers=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("retry-after") == retry_after
    assert client.post(f"{LAB}/chat/completions", json=chat("Llama 3.3")).status_code == 200
    simulation.faults.clear("groq")
    assert client.post(f"{GROQ}/chat/completions", json=chat(), headers=KEY).status_code == 200


def test_a_fault_of_one_model_spares_the_hosts_others(client: TestClient, simulation: Simulation):
    simulation.faults.set("groq", Fault(kind="503", model=BIG))
    statuses = {
        model: client.post(f"{GROQ}/chat/completions", json=chat(model), headers=KEY).status_code
        for model in (BIG, SMALL)
    }
    assert statuses == {BIG: 503, SMALL: 200}
    assert client.get(f"{GROQ}/models", headers=KEY).status_code == 200


@pytest.mark.parametrize(("model", "left"), [(BIG, [SMALL]), (None, [])])
def test_a_model_that_is_gone_is_gone_from_the_model_list(
    client: TestClient, simulation: Simulation, model: str | None, left: list[str]
):
    simulation.faults.set("groq", Fault(kind="404", model=model))
    assert [one["id"] for one in client.get(f"{GROQ}/models", headers=KEY).json()["data"]] == left


@pytest.mark.parametrize("stream", [False, True])
def test_bad_json_is_a_good_status_with_json_that_ends_too_early(
    client: TestClient, simulation: Simulation, *, stream: bool
):
    simulation.faults.set("groq", Fault(kind="bad-json"))
    answer = client.post(f"{GROQ}/chat/completions", json=chat(stream=stream), headers=KEY)
    assert answer.status_code == 200
    last = answer.text.strip().removeprefix("data: ").split("\n\ndata: ")[-1]
    with pytest.raises(json.JSONDecodeError):
        json.loads(last)


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_first_byte_comes_after_its_delay_on_top_of_the_latency(
    client: TestClient, simulation: Simulation, *, stream: bool
):
    simulation.set_speed("groq", Speed(latency=20))
    simulation.faults.set("groq", Fault(kind="slow-first-byte", delay=30))
    begun = time.monotonic()
    assert client.post(f"{GROQ}/chat/completions", json=chat(stream=stream), headers=KEY).status_code == 200
    assert time.monotonic() - begun >= 0.05


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_take_the_time_that_the_speed_says(client: TestClient, simulation: Simulation, *, stream: bool):
    simulation.set_speed("groq", Speed(tokens_per_second=100))
    begun = time.monotonic()
    answer = client.post(f"{GROQ}/chat/completions", json=chat(stream=stream), headers=KEY)
    assert time.monotonic() - begun >= 0.05, "six tokens at 100 a second, of which the first may come at once"
    simulation.set_speed("groq", Speed())
    fast = client.post(f"{GROQ}/chat/completions", json=chat(stream=stream), headers=KEY)

    def choices(text: str) -> list[Any]:
        return [json.loads(line.removeprefix("data: ")).get("choices") for line in text.split("\n\n") if "{" in line]

    assert choices(answer.text) == choices(fast.text)


def test_answers_are_typed_named_and_streams_end_as_openais(client: TestClient):
    whole = client.post(f"{GROQ}/chat/completions", json=chat(), headers=KEY)
    stream = client.post(f"{GROQ}/chat/completions", json=chat(stream=True), headers=KEY)
    refused = client.post(f"{GROQ}/chat/completions", json=chat("no"), headers=KEY)
    assert [answer.headers["content-type"] for answer in (whole, stream, refused)] == [
        "application/json",
        "text/event-stream; charset=utf-8",
        "application/json",
    ]
    names = {answer.headers["x-request-id"] for answer in (whole, stream, refused)}
    assert len(names) == 3
    assert all(name.startswith("req_") for name in names)
    assert stream.text.endswith("\n\ndata: [DONE]\n\n")


def test_requests_and_tokens_are_counted_by_host_model_id_and_status(client: TestClient, simulation: Simulation):
    for _ in range(2):
        client.post(f"{GROQ}/chat/completions", json=chat(content="a b c"), headers=KEY)
    client.post(f"{GROQ}/chat/completions", json=chat(content="a b", max_tokens=2, stream=True), headers=KEY)
    client.post(f"{GROQ}/embeddings", json={"model": SMALL, "input": "a b c d"}, headers=KEY)
    client.post(f"{GROQ}/chat/completions", json=chat())
    client.post(f"{GROQ}/chat/completions", json=chat("no"), headers=KEY)
    client.get(f"{GROQ}/models", headers=KEY)
    client.post(f"{LAB}/chat/completions", json=chat("Llama 3.3"))
    client.post("/grok/v1/chat/completions", json=chat())

    def count(host: str, model: str | None, status: int, requests: int, prompt: int = 0, answer: int = 0) -> Count:
        return Count(
            host=host, model=model, status=status, requests=requests, prompt_tokens=prompt, answer_tokens=answer
        )

    assert simulation.state().counts == (
        count("groq", None, 200, 1),
        count("groq", None, 404, 1),
        count("groq", SMALL, 200, 1, 4),
        count("groq", BIG, 200, 3, 8, 18),
        count("groq", BIG, 401, 1),
        count("lab", "Llama 3.3", 200, 1, 1, 7),
    )
    assert simulation.state().open == {}
