from collections.abc import Callable
from typing import Any

import httpx
import pytest

from corral.hosts.openai.probe import probe
from corral.hosts.probing import HostError, Question, Verdict

LISTED = {"object": "list", "data": [{"id": "Llama-3.3-70B", "object": "model"}, {"id": "Llama-4-Scout"}]}


def _client(answer: object, seen: list[str] | None = None) -> httpx.Client:
    def handler(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(str(request.url))
        return httpx.Response(200, json=answer)

    return httpx.Client(transport=httpx.MockTransport(handler))


def test_an_id_in_the_list_is_allowed_and_one_that_is_not_is_refused(ask: Callable[..., Question]):
    questions = [ask("Llama-3.3-70B"), ask("llama-3.3-70b"), ask("Muse")]
    assert probe(questions, _client(LISTED), "https://lab.example/v1", {}) == [
        Verdict("llama", "lab", "Llama-3.3-70B", "allowed", "in its list of models"),
        Verdict(
            "llama",
            "lab",
            "llama-3.3-70b",
            "refused",
            "not in its list of models (2 there); the nearest is Llama-3.3-70B",
        ),
        Verdict("llama", "lab", "Muse", "refused", "not in its list of models (2 there)"),
    ]


def test_a_host_that_lists_nothing_refuses(ask: Callable[..., Question]):
    assert probe([ask("Llama-3.3-70B")], _client({"data": []}), "https://lab.example/v1", {}) == [
        Verdict("llama", "lab", "Llama-3.3-70B", "refused", "not in its list of models (0 there)")
    ]


def test_a_list_without_anything_around_it_is_read(ask: Callable[..., Question]):
    (verdict,) = probe([ask("Llama-4-Scout")], _client(LISTED["data"]), "https://lab.example/v1", {})
    assert verdict.outcome == "allowed"


@pytest.mark.parametrize(
    ("url", "model_list", "asked"),
    [
        ("https://lab.example/v1", "/models", "https://lab.example/v1/models"),
        ("https://lab.example/v1/", "/models", "https://lab.example/v1/models"),
        ("http://127.0.0.1:8000/groq/openai/v1", "/models", "http://127.0.0.1:8000/groq/openai/v1/models"),
        ("https://api.together.ai/v1", "/models?serverless", "https://api.together.ai/v1/models?serverless"),
    ],
)
def test_the_list_is_asked_for_once_under_the_base_url(
    ask: Callable[..., Question], url: str, model_list: str, asked: str
):
    seen: list[str] = []
    probe([ask("a"), ask("b")], _client(LISTED, seen), url, {}, model_list)
    assert seen == [asked]


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
def test_an_answer_of_another_shape_is_unknown(ask: Callable[..., Question], answer: Any):
    with pytest.raises(HostError) as caught:
        probe([ask("Llama-3.3-70B")], _client(answer), "https://lab.example/v1", {})
    assert (caught.value.outcome, caught.value.why) == (
        "unknown",
        "it answers /v1/models with something else than a list of models",
    )
