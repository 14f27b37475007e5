from typing import Any

import httpx
import pytest

from corral.hosts.openai.probe import probe, probe_replicate
from corral.hosts.probing import HostError

LISTED = {"object": "list", "data": [{"id": "Llama-3.3-70B", "object": "model"}, {"id": "Llama-4-Scout"}]}


def _client(answer: object, url: str = "https://lab.example/v1", seen: list[str] | None = None) -> httpx.Client:
    def handler(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(str(request.url))
        return httpx.Response(200, json=answer)

    return httpx.Client(base_url=url, transport=httpx.MockTransport(handler))


def test_an_id_in_the_list_is_allowed_and_one_that_is_not_is_refused():
    assert probe(["Llama-3.3-70B", "llama-3.3-70b", "Muse"], _client(LISTED)) == [
        ("allowed", "in its list of models"),
        ("refused", "not in its list of models (2 there); the nearest is Llama-3.3-70B"),
        ("refused", "not in its list of models (2 there)"),
    ]


def test_a_host_that_lists_nothing_refuses():
    assert probe(["Llama-3.3-70B"], _client({"data": []})) == [("refused", "not in its list of models (0 there)")]


def test_a_list_without_anything_around_it_is_read():
    assert probe(["Llama-4-Scout"], _client(LISTED["data"])) == [("allowed", "in its list of models")]


@pytest.mark.parametrize(
    ("url", "model_list", "want"),
    [
        ("https://lab.example/v1", "/models", "https://lab.example/v1/models"),
        ("https://lab.example/v1/", "/models", "https://lab.example/v1/models"),
        ("http://127.0.0.1:8000/groq/openai/v1", "/models", "http://127.0.0.1:8000/groq/openai/v1/models"),
        ("https://api.together.ai/v1", "/models?serverless", "https://api.together.ai/v1/models?serverless"),
    ],
)
def test_the_list_is_asked_for_once_under_the_base_url(url: str, model_list: str, want: str):
    seen: list[str] = []
    probe(["a", "b"], _client(LISTED, url, seen), model_list)
    assert seen == [want]


@pytest.mark.parametrize(
    "answer",
    [
        {"models": []},
        {"data": None},
        {"data": {"id": "x"}},
        {"data": ["Llama-3.3-70B"]},
        {"data": [{"name": "Llama-3.3-70B"}]},
        {"data": [{"id": 3}]},
        "Llama-3.3-70B",
        None,
    ],
    ids=str,
)
def test_an_answer_of_another_shape_is_unknown(answer: Any):
    with pytest.raises(HostError) as caught:
        probe(["Llama-3.3-70B"], _client(answer))
    assert caught.value.judgement == (
        "unknown",
        "it answers /v1/models with something else than a list of models",
    )


def _replicate(request: httpx.Request) -> httpx.Response:
    match request.url.path:
        case "/v1/models/meta/llama-4-maverick-instruct":
            return httpx.Response(200, json={"owner": "meta", "name": "llama-4-maverick-instruct"})
        case "/v1/models/meta/busy":
            return httpx.Response(503)
        case "/v1/models/meta/secret":
            return httpx.Response(401)
        case "/v1/models/meta/page":
            return httpx.Response(200, text="<html>")
        case _:
            return httpx.Response(404, json={"detail": "Not found."})


def test_each_model_of_replicate_is_asked_for():
    ids = ["llama-4-maverick-instruct", "meta-llama-3.1-405b-instruct", "busy", "secret", "page"]
    url = "https://api.replicate.com/v1/"
    with httpx.Client(base_url=url, transport=httpx.MockTransport(_replicate)) as client:
        judgements = probe_replicate([*(f"meta/{id_}" for id_ in ids), "llama", "meta/../x/y"], client)
    assert judgements == [
        ("allowed", "there is such a model"),
        ("refused", "there is no such model (HTTP 404)"),
        ("unknown", "it answers HTTP 503: try again later"),
        ("refused", "it refuses the key (HTTP 401): give it a valid one"),
        ("unknown", "it answers /v1/models/meta/page with something else than a list of models"),
        ("unknown", "its id has not the form owner/name"),
        ("unknown", "its id has not the form owner/name"),
    ]
