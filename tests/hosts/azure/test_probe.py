from typing import Any

import httpx
import pytest

from corral.hosts.azure.probe import probe
from corral.hosts.probing import HostError

URL = "https://acme.services.ai.azure.com/openai/v1"
LISTED = {
    "object": "list",
    "data": [
        {
            "id": "Llama-3.3-70B-Instruct",
            "model": "Llama-3.3-70B-Instruct",
            "object": "deployment",
            "owner": "organization-owner",
            "status": "succeeded",
            "created_at": 1681171441,
        },
        {"id": "maverick", "model": "Llama-4-Maverick-17B-128E-Instruct-FP8", "status": "notRunning"},
    ],
}


def _client(answer: object, status: int = 200, seen: list[tuple[str, str]] | None = None) -> httpx.Client:
    def handler(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append((str(request.url), request.headers["api-key"]))
        return httpx.Response(status, json=answer)

    return httpx.Client(base_url=URL, headers={"api-key": "secret"}, transport=httpx.MockTransport(handler))


def test_what_is_deployed_and_ready_is_allowed():
    ids = ["Llama-3.3-70B-Instruct", "maverick", "Llama-4-Maverick-17B-128E-Instruct-FP8"]
    assert probe(ids, _client(LISTED)) == [
        ("allowed", "deployed"),
        ("refused", "its deployment is not ready: notRunning"),
        ("refused", "no deployment of this name; there are: Llama-3.3-70B-Instruct, maverick"),
    ]


def test_a_resource_without_deployments_refuses():
    assert probe(["x"], _client({"data": []})) == [("refused", "no deployment of this name; there are: none")]


def test_the_deployments_are_those_of_the_resource_and_not_the_models_of_the_catalogue():
    seen: list[tuple[str, str]] = []
    probe(["a", "b"], _client(LISTED, seen=seen))
    assert seen == [("https://acme.services.ai.azure.com/openai/deployments?api-version=2023-03-15-preview", "secret")]


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        ({"error": {"code": "404"}}, 404, "it answers HTTP 404 to /openai/deployments"),
        ({"error": {"code": "BadRequest"}}, 400, "it answers HTTP 400 to /openai/deployments"),
        ({"data": "x"}, 200, "it answers /openai/deployments with something else than a list of models"),
        ({"data": [{"id": "x"}]}, 200, "it answers /openai/deployments with something else than a list of models"),
        ([], 200, "it answers /openai/deployments with something else than a list of models"),
    ],
    ids=str,
)
def test_should_azure_no_longer_list_deployments_it_is_unknown(answer: Any, status: int, why: str):
    with pytest.raises(HostError) as caught:
        probe(["x"], _client(answer, status))
    assert caught.value.judgement == ("unknown", why)
