"""Who is let through, and what is said to those who are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.module.asking import ISSUER, KEY, OPEN, Asked, asked, context, error, line, model, refusal
from tests.local.module.worker import Worker, text

WORKER = Worker()


def test_a_request_is_told_apart_by_its_model_and_remembered() -> None:
    of = asked({"temperature": 1, "model": "m"}, path="/v1/chat/completions?a=b", worker=WORKER)
    assert of.ran.status is None
    assert of.ran.rerouted
    assert of.ran.headers == {
        ":method": "POST",
        ":path": "/v1/chat/completions?a=b",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
    }
    assert of.ran.body == b'{"temperature": 1, "model": "m"}'
    assert of.known == {
        "path": "/v1/chat/completions",
        "tenant": "search",
        "model": "m",
        "stream": False,
        "plan": "a-hash",
    }


def test_what_it_knows_is_read_from_the_file_that_the_table_of_routes_names(tmp_path: Path) -> None:
    file = tmp_path / "plan"
    file.write_text(context())
    assert asked(told=str(file), worker=WORKER).known == asked(worker=WORKER).known
    assert not WORKER.hook("per_route_config_new")(text("plan"), text(f"{file}.gone"))


def test_until_its_body_comes_it_is_known_who_calls_and_where() -> None:
    assert asked(b"", worker=WORKER).known == {"path": "/v1/chat/completions", "tenant": "search"}


def test_without_tenants_nobody_is_asked_for_a_key() -> None:
    of = asked(told=OPEN, authorization=None, worker=WORKER)
    assert of.ran.rerouted
    assert "x-corral-tenant" not in of.ran.headers
    assert "tenant" not in of.known


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"authorization": None, "api_key": KEY},
        {"authorization": None, "x_api_key": KEY},
    ],
)
def test_a_key_is_taken_wherever_clients_put_it(headers: dict[str, Any]) -> None:
    assert asked(worker=WORKER, **headers).known["tenant"] == "search"


UNKNOWN = "This key is not known here: it was mistyped or withdrawn."
NO_KEY = "No key: send it as Authorization: Bearer <key>."


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"authorization": None}, NO_KEY),
        ({"authorization": ""}, NO_KEY),
        ({"authorization": "Basic abc"}, NO_KEY),
        ({"authorization": "Bearer "}, NO_KEY),
        ({"authorization": f"Bearer {KEY},Bearer {KEY}"}, NO_KEY),
        ({"authorization": "Bearer x"}, UNKNOWN),
        ({"authorization": f"Bearer {KEY}x"}, UNKNOWN),
        ({"authorization": "Bearer " + "x" * 60_000}, UNKNOWN),
        ({"authorization": "Bearer a.b.c"}, UNKNOWN),
    ],
)
def test_who_has_no_good_key_is_refused(headers: dict[str, Any], message: str) -> None:
    of = asked(worker=WORKER, **headers)
    assert refusal(of) == (401, "invalid_api_key", message)
    assert of.ran.sent["www-authenticate"] == "Bearer"
    assert of.known == {"path": "/v1/chat/completions"}


def test_a_key_is_refused_from_the_moment_it_is_withdrawn() -> None:
    assert asked(worker=WORKER).ran.status is None
    withdrawn = context(keys={"sk-corral-other": "search"})
    assert asked(worker=WORKER, told=withdrawn).ran.status == 401
    assert asked(worker=WORKER).ran.status is None


def token(claims: dict[str, Any]) -> dict[str, Any]:
    """The header with the claims of a token that Envoy has verified."""
    return {"x_corral_claims": json.dumps({"iss": ISSUER, **claims})}


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("sub", {"sub": "team-search"}),
        ("sub", {"sub": 7}),
        ("groups", {"groups": ["others", "team-search"]}),
        ("realm.team", {"realm": {"team": "team-search"}}),
        ("realm.teams", {"realm": {"teams": [1, "team-search"]}}),
        ("https://example.com/team", {"https://example.com/team": "team-search"}),
        ("a.b", {"a.b": "team-search", "a": {"b": "another"}}),
    ],
)
def test_a_good_token_speaks_for_the_tenant_that_its_claim_names(claim: str, claims: dict[str, Any]) -> None:
    of = asked(told=context(claim), authorization=None, **token(claims), worker=WORKER)
    assert of.known["tenant"] == "search"
    assert not [name for name in of.ran.headers if name.startswith("x-corral-claims")]


NO_TENANT = "The token is good, but speaks for no tenant of this gateway."


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("sub", {}),
        ("sub", {"sub": "another"}),
        ("sub", {"sub": ["another"]}),
        ("sub", {"sub": {"x": "team-search"}}),
        ("sub", {"sub": [["team-search"]]}),
        ("sub", {"sub": False}),
        ("realm.team", {"realm": "team-search"}),
        ("realm.team.name", {"realm": {"team": "team-search"}}),
        ("sub", {"sub": "team-search", "iss": "https://another.example.com/"}),
        ("sub", {"sub": "team-search", "iss": 5}),
    ],
)
def test_a_good_token_of_nobody_here_is_refused_and_it_is_said_why(claim: str, claims: dict[str, Any]) -> None:
    # Envoy takes a good token out of the headers
    of = asked(told=context(claim), authorization=None, **token(claims), worker=WORKER)
    assert refusal(of) == (401, "invalid_api_key", NO_TENANT)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("Bearer a.b.c", "The token is not taken: Jwt is expired."),
        ("Bearer opaque", UNKNOWN),
        (None, NO_KEY),
    ],
)
def test_a_token_that_is_not_good_is_refused_with_the_reason(key: str | None, message: str) -> None:
    of = asked(authorization=key, x_corral_token_failure="Jwt is expired", worker=WORKER)
    assert refusal(of) == (401, "invalid_api_key", message)


def test_a_key_is_taken_though_it_is_no_token() -> None:
    failed = "Jwt is not in the form of Header.Payload.Signature"
    assert asked(x_corral_token_failure=failed, worker=WORKER).known["tenant"] == "search"


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"content_type": None}, None, 400, "json_required"),
        ({"content_type": "text/plain"}, None, 400, "json_required"),
        ({"content_encoding": "gzip"}, None, 415, "encoding_not_taken"),
        ({}, b"", 400, "invalid_json"),
        ({}, b"[]", 400, "invalid_json"),
        ({}, {}, 400, "model_required"),
        ({}, {"model": 7}, 400, "model_required"),
        ({}, {"model": ""}, 400, "model_required"),
        ({}, b'{"model":"m","model":"n"}', 400, "invalid_json"),
        ({}, {"model": "m", "stream": 1}, 400, "invalid_value"),
        ({}, {"model": "m", "stream": "true"}, 400, "invalid_value"),
        ({}, {"model": "m", "stream": True, "stream_options": []}, 400, "invalid_value"),
        ({}, b'{"model":"m","\xff\x00":1', 400, "invalid_json"),
    ],
)
def test_what_cannot_be_read_in_one_way_is_refused(headers: dict[str, Any], body: Any, status: int, code: str) -> None:
    assert refusal(asked(body, worker=WORKER, **headers))[:2] == (status, code)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("another", "another"),
        ("m us", "m?us"),
        ("\r\nx-evil: 1", "?r?nx-evil:?1"),
        ("%REQ(authorization)%", "?REQ?authorization??"),
        ("é", "?u00e9"),
        ("x" * 200, "x" * 128),
    ],
)
def test_of_a_model_that_there_is_not_only_harmless_characters_are_repeated(model: str, said: str) -> None:
    of = asked({"model": model}, worker=WORKER)
    assert (of.ran.status, of.ran.rerouted, of.ran.headers["x-corral-model"]) == (None, True, said)
    assert of.ran.headers["x-corral-tenant"] == "search"
    assert of.known == {"path": "/v1/chat/completions", "tenant": "search"}


def test_a_model_that_the_tenant_may_not_use_is_refused() -> None:
    told = context(models=["meta/llama:3"])
    of = asked(told=told, worker=WORKER)
    assert refusal(of) == (
        403,
        "model_not_allowed",
        "Tenant search may not use the model m. GET /v1/models lists those it may use.",
    )
    assert (of.known["model"], of.known["stream"]) == ("m", False)
    assert asked({"model": "meta/llama:3"}, told=told, worker=WORKER).ran.status is None


def test_a_tenant_s_residency_leaves_hosts_out_and_where_nobody_is_left_it_is_refused() -> None:
    def of(residency: str) -> Asked:
        return asked({"model": "n"}, told=context(residency=residency, more=[both]), worker=WORKER)

    shared = model("n", ("lab", 60, 0), ("other", 40, 0))
    both = "\n".join((shared, line("residency", "eu+us", 2), line("residency", "mars", 0)))
    assert [of(residency).stream.allowed for residency in ("", "eu+us", "us")] == [[0, 1], [1], [0, 1]]
    message = "No host of n lies where requests of this tenant may be processed."
    assert refusal(of("mars")) == (403, "residency", message)


@pytest.mark.parametrize("headers", [{}, {"content_length": "21"}])
def test_a_body_larger_than_the_tenant_may_send_is_refused(headers: dict[str, Any]) -> None:
    message = "The request body is larger than 20 bytes, the most tenant search may send."
    of = asked(b'{"model":"m", "a":12}', told=context(body=20), worker=WORKER, **headers)
    assert refusal(of) == (413, "request_too_large", message)
    assert asked(b'{"model":"m", "a":1}', told=context(body=20), worker=WORKER).ran.status is None


@pytest.mark.parametrize(
    ("path", "options", "want"),
    [
        ("/v1/chat/completions", {}, {"stream_options": {"include_usage": True}}),
        ("/v1/completions", {"stream_options": None}, {"stream_options": {"include_usage": True}}),
        ("/v1/chat/completions", {"stream_options": {"include_usage": True}}, None),
        ("/v1/responses", {}, None),
        ("/v1/embeddings", {"stream_options": {"a": 1}}, None),
    ],
)
def test_a_stream_is_asked_for_its_usage_which_is_then_taken_out(
    path: str, options: dict[str, Any], want: dict[str, Any] | None
) -> None:
    body = {"stream": True, **options, "model": "m"}
    of = asked(body, path=path, worker=WORKER)
    assert json.loads(of.stream.attempt(of.sent).body) == {**body, **(want or {})}
    usage = b'data: {"usage":{"prompt_tokens":1}}\n\n'
    passed = of.stream.answer({":status": "200", "content-type": "text/event-stream"}, [usage]).body
    assert passed == (usage if want is None else b"")
    assert of.known["stream"] is True


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("GET", "/v1/chat/completions"), ("POST", "/v1/other"), ("POST", "/")],
)
def test_what_names_no_model_needs_a_key_and_nothing_else(method: str, path: str) -> None:
    ran = asked(b"x", method=method, path=path, worker=WORKER).ran
    assert (ran.status, ran.rerouted, ran.body) == (None, True, b"x")
    assert (ran.headers["x-corral-tenant"], "x-corral-model" in ran.headers) == ("search", False)
    assert asked(b"x", method=method, path=path, authorization=None, worker=WORKER).ran.status == 401


@given(
    body=st.binary(max_size=80) | st.text('{}[]":,\\ modelstrau1', max_size=60).map(str.encode),
    key=st.none() | st.binary(max_size=40),
    kind=st.sampled_from(["application/json", "application/json; charset=utf-8", "x"]),
    path=st.sampled_from(["/v1/chat/completions", "/v1/completions?x", "/v1/embeddings", "/v1/models", "/\xff?"]),
    good=st.booleans(),
)
def test_whatever_a_client_sends_it_is_let_on_or_told_why_not(
    body: bytes, key: bytes | None, kind: str, path: str, good: bool
) -> None:
    of = asked(body, authorization=f"Bearer {KEY}" if good else key, content_type=kind, path=path, worker=WORKER)
    assert of.ran.status is not None or of.ran.rerouted
    if of.ran.status is not None:
        assert error(of)["message"]
        assert of.ran.status in (400, 401)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["meta/llama:3", "meta%2Fllama%3a3", "meta%2fllama:3?a=b"])
def test_one_model_is_told_of_by_its_name_whose_slashes_may_be_escaped(method: str, path: str) -> None:
    ran = asked(b"", method=method, path=f"/v1/models/{path}", worker=WORKER).ran
    assert (ran.status, json.loads(ran.answer)) == (
        200,
        {"id": "meta/llama:3", "object": "model", "created": 0, "owned_by": "corral"},
    )


@pytest.mark.parametrize(("name", "shown"), [("n", "n"), ("m", "m"), ("a%22b%0A", "a?b?")])
def test_a_model_that_is_not_there_or_not_the_tenant_s_is_not_found(name: str, shown: str) -> None:
    of = asked(b"", method="GET", path=f"/v1/models/{name}", told=context(models=["meta/llama:3"]), worker=WORKER)
    message = f"The model {shown} does not exist here. GET /v1/models lists the models."
    assert refusal(of) == (404, "model_not_found", message)


def test_a_model_of_the_list_is_only_read() -> None:
    of = asked(b"", method="DELETE", path="/v1/models/m", worker=WORKER)
    assert (refusal(of)[:2], of.ran.sent["allow"]) == ((405, "method_not_allowed"), "GET, HEAD")


def test_health_needs_no_key() -> None:
    ran = asked(b"", method="GET", path="/health", authorization=None, worker=WORKER).ran
    assert (ran.status, json.loads(ran.answer)) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("previous", "path", "alone", "status"),
    [
        ("resp_1", "/v1/responses", False, 400),
        (None, "/v1/responses", False, None),
        ("resp_1", "/v1/responses", True, None),
        ("resp_1", "/v1/chat/completions", False, None),
    ],
)
def test_a_response_that_one_of_several_hosts_has_kept_is_not_followed_up(
    previous: str | None, path: str, alone: bool, status: int | None
) -> None:
    body = {"model": "m", "input": "more", "previous_response_id": previous}
    of = asked(body, path=path, told=context(one_host=alone), worker=WORKER)
    assert of.ran.status == status
    if status:
        said = error(of)
        assert (said["code"], said["param"]) == ("unsupported_parameter", "previous_response_id")
