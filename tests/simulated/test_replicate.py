"""Replicate's protocol: predictions, how they are asked for, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from corral.catalog.catalog import Takes
from corral.simulated.hosts import SimulatedHost, Speed
from corral.simulated.simulation import Count, Fault, Simulation

MODEL = "meta/llama-4-maverick-instruct"
MAKE = f"/replicate/v1/models/{MODEL}/predictions"
KEY = {"authorization": "Bearer r-key"}
TOKENS = ["replicate", " (simulated)", " answers", " as", f" {MODEL}:", " hello", " you"]
HOST = SimulatedHost(
    name="replicate",
    path="/v1",
    header="authorization",
    key="r-key",
    models={MODEL: Takes()},
    protocol="replicate",
)


@pytest.fixture(autouse=True)
def its_host(simulation: Simulation) -> None:
    simulation.replace([HOST])


def make(client: TestClient, prompt: str = "hello you", wait: str | None = None, **more: Any) -> dict[str, Any]:
    headers = KEY | ({"prefer": wait} if wait else {})
    answer = client.post(MAKE, json={"input": {"prompt": prompt} | more}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def at(prediction: dict[str, Any], what: str) -> str:
    return prediction["urls"][what].removeprefix("http://127.0.0.1")


def test_a_prediction_that_is_waited_for_has_its_answer(client: TestClient):
    prediction = make(client, wait="wait")
    name = prediction.pop("id")
    base = f"http://127.0.0.1/replicate/v1/predictions/{name}"
    assert prediction == {
        "model": MODEL,
        "version": "hidden",
        "status": "succeeded",
        "input": {},
        "output": TOKENS,
        "error": None,
        "logs": "",
        "metrics": {"input_token_count": 2, "output_token_count": 7},
        "urls": {"get": base, "cancel": f"{base}/cancel", "stream": f"{base}/stream"},
    }


def test_one_that_is_not_waited_for_is_asked_for_later(client: TestClient):
    made = make(client, max_tokens=2)
    assert (made["status"], made["output"], made["metrics"]) == ("processing", None, {})
    then = client.get(at(made, "get"), headers=KEY).json()
    assert (then["status"], then["output"]) == ("succeeded", TOKENS[:2])


def test_its_output_is_a_stream_of_events(client: TestClient):
    answer = client.get(at(make(client, max_tokens=2), "stream"), headers=KEY)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text == (
        "id: 0\nevent: output\ndata: replicate\n\nid: 1\nevent: output\ndata:  (simulated)\n\nevent: done\ndata: {}\n\n"
    )


def test_one_that_is_cancelled_stays_so(client: TestClient, simulation: Simulation):
    simulation.set_speed("replicate", Speed(tokens_per_second=1))
    made = make(client)
    assert client.post(at(made, "cancel"), headers=KEY).json()["status"] == "canceled"
    assert client.get(at(made, "get"), headers=KEY).json()["status"] == "canceled"


def test_one_that_has_ended_is_not_cancelled(client: TestClient):
    assert client.post(at(make(client), "cancel"), headers=KEY).json()["status"] == "succeeded"


def once(client: TestClient) -> None:
    make(client, wait="wait=5")


def later_and_twice(client: TestClient) -> None:
    made = make(client)
    for _ in range(2):
        client.get(at(made, "get"), headers=KEY)


def streamed_and_fetched(client: TestClient) -> None:
    made = make(client)
    client.get(at(made, "stream"), headers=KEY)
    client.get(at(made, "get"), headers=KEY)


@pytest.mark.parametrize(
    ("ask", "requests"),
    [(once, {201: 1}), (later_and_twice, {200: 2, 201: 1}), (streamed_and_fetched, {200: 2, 201: 1})],
)
def test_tokens_are_counted_once_however_they_are_asked_for(
    client: TestClient, simulation: Simulation, ask: Callable[[TestClient], None], requests: dict[int, int]
):
    ask(client)
    rows: tuple[Count, ...] = simulation.state().counts
    assert {row.status: row.requests for row in rows} == requests
    assert {row.model for row in rows} == {MODEL}
    assert (sum(row.prompt_tokens for row in rows), sum(row.answer_tokens for row in rows)) == (2, 7)


@pytest.mark.parametrize(
    "prompt",
    [
        "hello you",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhello you<|eot_id|>",
        "hello you<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ],
)
def test_the_marks_of_llama_s_own_form_count_nothing(client: TestClient, prompt: str):
    prediction = make(client, prompt, wait="wait")
    assert (prediction["output"], prediction["metrics"]["input_token_count"]) == (TOKENS, 2)


@pytest.mark.parametrize(
    ("method", "where", "headers", "status", "detail"),
    [
        ("POST", MAKE, {}, 401, "You didn't provide an API key."),
        ("POST", MAKE, {"authorization": "Bearer other"}, 401, "Incorrect API key provided."),
        ("GET", MAKE, KEY, 405, "Not allowed here"),
        ("POST", "/replicate/v1/models/meta/other/predictions", KEY, 404, "The model `meta/other` does not exist"),
        ("GET", "/replicate/v1/predictions/none", KEY, 404, "Unknown request URL"),
        ("POST", "/replicate/v1/chat/completions", KEY, 404, "Unknown request URL"),
    ],
)
def test_what_is_refused_is_told_as_a_detail(
    client: TestClient, method: str, where: str, headers: dict[str, str], status: int, detail: str
):
    answer = client.request(method, where, json={"input": {"prompt": "x"}}, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["detail"].startswith(f"replicate (simulated): {detail}")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"input": {}}', b'{"input": {"prompt": 7}}'])
def test_a_body_that_is_no_prediction_is_refused(client: TestClient, body: bytes):
    assert client.post(MAKE, content=body, headers=KEY).status_code == 400


def test_a_fault_shows(client: TestClient, simulation: Simulation):
    simulation.faults.set("replicate", Fault(kind="429", retry_after=7))
    answer = client.post(MAKE, json={"input": {"prompt": "x"}}, headers=KEY)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
