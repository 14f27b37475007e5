from collections.abc import Callable

import httpx

from corral.hosts.probing import Question, Verdict
from corral.hosts.replicate.probe import probe


def _host(request: httpx.Request) -> httpx.Response:
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


def test_each_model_is_asked_for(ask: Callable[..., Question]):
    ids = ["llama-4-maverick-instruct", "meta-llama-3.1-405b-instruct", "busy", "secret", "page"]
    questions = [*(ask(f"meta/{id_}") for id_ in ids), ask("llama"), ask("meta/../x/y")]
    with httpx.Client(transport=httpx.MockTransport(_host)) as client:
        verdicts = probe(questions, client, "https://api.replicate.com/v1/", {})
    other = "it answers /v1/models/meta/page with something else than a list of models"
    assert verdicts == [
        Verdict("llama", "lab", "meta/llama-4-maverick-instruct", "allowed", "there is such a model"),
        Verdict("llama", "lab", "meta/meta-llama-3.1-405b-instruct", "refused", "there is no such model (HTTP 404)"),
        Verdict("llama", "lab", "meta/busy", "unknown", "it answers HTTP 503: try again later"),
        Verdict("llama", "lab", "meta/secret", "refused", "it refuses the key (HTTP 401): give it a valid one"),
        Verdict("llama", "lab", "meta/page", "unknown", other),
        Verdict("llama", "lab", "llama", "unknown", "its id has not the form owner/name"),
        Verdict("llama", "lab", "meta/../x/y", "unknown", "its id has not the form owner/name"),
    ]
