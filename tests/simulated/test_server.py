from __future__ import annotations

import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from corral.simulated.simulation import Simulation

TOKEN = {"authorization": "Bearer the-token"}


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "the-token"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/latest"),
        ("PUT", "/faults/groq"),
        ("DELETE", "/faults/groq"),
        ("PUT", "/speed/groq"),
        ("GET", "/nothing"),
    ],
)
def test_nothing_is_told_or_done_without_the_token(
    client: TestClient, simulation: Simulation, headers: dict[str, str], method: str, path: str
):
    before = simulation.state()
    answer = client.request(method, f"/_control{path}", headers=headers, content=b"[]")
    assert answer.status_code == 401
    assert answer.json() == {"error": {"message": "the control token is missing or wrong"}}
    assert simulation.state() == before


def test_the_state_holds_no_key(client: TestClient, simulation: Simulation):
    answer = client.get("/_control", headers=TOKEN)
    assert answer.json() == simulation.state().model_dump(mode="json")
    assert "-key" not in answer.text.replace("api-key", "")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("faults/grok", {"kind": "503"}, 404, "no simulated host is named 'grok': there are azure, bedrock, groq, lab"),
        ("speed/grok", {}, 404, "no simulated host is named 'grok': there are azure, bedrock, groq, lab"),
        ("faults/lab", {"kind": "503", "model": "no"}, 404, "lab serves no model 'no': it serves Llama 3.3"),
        ("faults/lab", {"kind": "502"}, 400, "kind: Input should be '401', '404'"),
        ("faults/lab", {"kind": "503", "for": -1}, 400, "for: Input should be greater than 0"),
        ("speed/lab", {"latency": -1}, 400, "latency: Input should be greater than or equal to 0"),
        ("speed/lab", {"tokens_per_second": 0}, 400, "tokens_per_second: Input should be greater than 0"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    client: TestClient, simulation: Simulation, path: str, body: Any, status: int, message: str
):
    before = simulation.state()
    answer = client.put(f"/_control/{path}", json=body, headers=TOKEN)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(message)
    assert simulation.state() == before


def test_the_latest_requests_are_told_one_by_one_from_where_one_left_off(client: TestClient):
    def ask(host: str, model: str) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        client.post(f"/{host}/chat/completions", json=body, headers={"authorization": "Bearer groq-key"})

    began = time.monotonic()
    for host, model in (("lab", "Llama 3.3"), ("groq/openai/v1", "llama-3.1-8b-instant"), ("lab", "no such")):
        ask(host, model)
    latest = client.get("/_control/latest?after=1", headers=TOKEN).json()
    assert latest["finished"] == 3
    assert [row[1:] for row in latest["requests"]] == [["groq", "llama-3.1-8b-instant", 200], ["lab", None, 404]]
    assert all(began <= row[0] <= time.monotonic() for row in latest["requests"])
    for after, left in ((3, 0), (7, 0), (0, 3)):
        rest = client.get(f"/_control/latest?after={after}", headers=TOKEN).json()
        assert (rest["finished"], len(rest["requests"])) == (3, left)


@pytest.mark.parametrize("after", ["-1", "x", "", "1.5"])
def test_where_one_left_off_is_a_whole_number(client: TestClient, after: str):
    answer = client.get(f"/_control/latest?after={after}", headers=TOKEN)
    assert (answer.status_code, answer.json()) == (400, {"error": {"message": "after: a whole number, 0 or more"}})
