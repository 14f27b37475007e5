from collections.abc import Callable
from typing import Any

import httpx
import pytest

from corral.hosts.azure.probe import probe
from corral.hosts.probing import HostError, Question, Verdict

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

    return httpx.Client(transport=httpx.MockTransport(handler))


def test_what_is_deployed_and_ready_is_allowed(ask: Callable[..., Question]):
    questions = [ask("Llama-3.3-70B-Instruct"), ask("maverick"), ask("Llama-4-Maverick-17B-128E-Instruct-FP8")]
    assert probe(questions, _client(LISTED), URL, {}) == [
        Verdict("llama", "lab", "Llama-3.3-70B-Instruct", "allowed", "deployed"),
        Verdict("llama", "lab", "maverick", "refused", "its deployment is not ready: notRunning"),
        Verdict(
            "llama",
            "lab",
            "Llama-4-Maverick-17B-128E-Instruct-FP8",
            "refused",
            "no deployment of this name; there are: Llama-3.3-70B-Instruct, maverick",
        ),
    ]


def test_a_resource_without_deployments_refuses(ask: Callable[..., Question]):
    assert probe([ask("x")], _client({"data": []}), URL, {}) == [
        Verdict("llama", "lab", "x", "refused", "no deployment of this name; there are: none")
    ]


def test_the_deployments_are_those_of_the_resource_and_not_the_models_of_the_catalogue(ask: Callable[..., Question]):
    seen: list[tuple[str, str]] = []
    probe([ask("a"), ask("b")], _client(LISTED, seen=seen), URL, {"api-key": "secret"})
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
def test_should_azure_no_longer_list_deployments_it_is_unknown(
    ask: Callable[..., Question], answer: Any, status: int, why: str
):
    with pytest.raises(HostError) as caught:
        probe([ask("x")], _client(answer, status), URL, {})
    assert (caught.value.outcome, caught.value.why) == ("unknown", why)
