"""Who is let through, and what is said to those who are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.envoy.lua.asking import ISSUER, JWT, KEY, asked, context, error, known, refusal
from tests.local.envoy.lua.worker import NOW, Worker


def test_a_request_is_told_apart_by_its_model_and_remembered() -> None:
    ran = asked({"temperature": 1, "model": "m"}, path="/v1/chat/completions?a=b")
    assert ran.status is None
    assert ran.rerouted
    assert ran.headers == {
        ":method": "POST",
        ":path": "/v1/chat/completions?a=b",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "x-corral-model": "m",
    }
    assert ran.body == b'{"temperature": 1, "model": "m"}'
    assert ran.body[known(ran)["named_from"] : known(ran)["named_to"]] == b'"m"'
    assert ran.metadata == {
        "corral": {
            "asked": {
                "path": "/v1/chat/completions",
                "tenant": "search",
                "model": "m",
                "stream": False,
                "endpoint": "/chat/completions?a=b",
                "variant": "m",
                "length": len(ran.body),
                "named_from": 28,
                "named_to": 31,
                "at": NOW,
                "strip": False,
            }
        }
    }


def test_until_its_body_comes_it_is_known_who_calls_and_where() -> None:
    ran = asked(b"")
    assert known(ran) == {"path": "/v1/chat/completions", "tenant": "search"}


def test_without_tenants_nobody_is_asked_for_a_key() -> None:
    ran = asked(told={"version": "1", "open": {}, "model:m": True}, authorization=None)
    assert ran.headers["x-corral-model"] == "m"
    assert "x-corral-tenant" not in ran.headers
    assert "tenant" not in known(ran)


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
    assert known(asked(**headers))["tenant"] == "search"


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
    ran = asked(**headers)
    assert refusal(ran) == (401, "invalid_api_key", message)
    assert ran.sent["www-authenticate"] == "Bearer"
    assert known(ran) == {"path": "/v1/chat/completions"}


def test_a_key_is_refused_from_the_moment_it_is_withdrawn() -> None:
    worker = Worker()
    assert asked(worker=worker).status is None
    withdrawn = context(keys={"sk-corral-other": "search"}) | {"version": "2"}
    assert asked(worker=worker, told=withdrawn).status == 401
    assert asked(worker=worker).status is None


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
    ran = asked(told=context(claim), authorization=None, metadata={JWT: {"token": {"iss": ISSUER, **claims}}})
    assert known(ran)["tenant"] == "search"


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
    token = {"iss": ISSUER, **claims}
    ran = asked(told=context(claim), authorization=None, metadata={JWT: {"token": token}})
    assert refusal(ran) == (401, "invalid_api_key", NO_TENANT)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("Bearer a.b.c", "The token is not taken: Jwt is expired."),
        ("Bearer opaque", UNKNOWN),
        (None, NO_KEY),
    ],
)
def test_a_token_that_is_not_good_is_refused_with_the_reason(key: str | None, message: str) -> None:
    failed = {JWT: {"failed": {"code": 5, "message": "Jwt is expired"}}}
    assert refusal(asked(authorization=key, metadata=failed)) == (401, "invalid_api_key", message)


def test_a_key_is_taken_though_it_is_no_token() -> None:
    failed = {JWT: {"failed": {"code": 2, "message": "Jwt is not in the form of Header.Payload.Signature"}}}
    assert known(asked(metadata=failed))["tenant"] == "search"


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
    assert refusal(asked(body, **headers))[:2] == (status, code)


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
    ran = asked({"model": model})
    assert (ran.status, ran.rerouted, ran.headers["x-corral-model"]) == (None, True, said)
    assert ran.headers["x-corral-tenant"] == "search"
    assert known(ran) == {"path": "/v1/chat/completions", "tenant": "search"}


def test_a_model_that_the_tenant_may_not_use_is_refused() -> None:
    ran = asked(told=context(models={"meta/llama:3": True}))
    assert refusal(ran) == (
        403,
        "model_not_allowed",
        "Tenant search may not use the model m. GET /v1/models lists those it may use.",
    )
    assert (known(ran)["model"], known(ran)["stream"]) == ("m", False)
    assert "at" not in known(ran)
    assert asked({"model": "meta/llama:3"}, told=context(models={"meta/llama:3": True})).status is None


def test_a_tenant_of_a_lane_is_led_into_it() -> None:
    assert asked(told=context(lane="eu+us")).headers["x-corral-model"] == "m eu+us"


@pytest.mark.parametrize("headers", [{}, {"content_length": "21"}])
def test_a_body_larger_than_the_tenant_may_send_is_refused(headers: dict[str, Any]) -> None:
    message = "The request body is larger than 20 bytes, the most tenant search may send."
    ran = asked(b'{"model":"m", "a":12}', told=context(body=20), **headers)
    assert refusal(ran) == (413, "request_too_large", message)
    assert asked(b'{"model":"m", "a":1}', told=context(body=20)).status is None


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
    ran = asked(body, path=path)
    assert json.loads(ran.body) == {**body, **(want or {})}
    assert (known(ran)["strip"], known(ran)["stream"]) == (want is not None, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("GET", "/v1/chat/completions"), ("POST", "/v1/other"), ("POST", "/")],
)
def test_what_names_no_model_needs_a_key_and_nothing_else(method: str, path: str) -> None:
    ran = asked(b"x", method=method, path=path)
    assert (ran.status, ran.rerouted, ran.body) == (None, True, b"")
    assert (ran.headers["x-corral-tenant"], "x-corral-model" in ran.headers) == ("search", False)
    assert asked(b"x", method=method, path=path, authorization=None).status == 401


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
    ran = asked(body, authorization=f"Bearer {KEY}" if good else key, content_type=kind, path=path, worker=ANY)
    assert ran.status is not None or ran.rerouted
    if ran.status is not None:
        assert error(ran)["message"]
        assert ran.status in (400, 401)


ANY = Worker()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["meta/llama:3", "meta%2Fllama%3a3", "meta%2fllama:3?a=b"])
def test_one_model_is_told_of_by_its_name_whose_slashes_may_be_escaped(method: str, path: str) -> None:
    ran = asked(b"", method=method, path=f"/v1/models/{path}")
    assert (ran.status, json.loads(ran.answer)) == (
        200,
        {"id": "meta/llama:3", "object": "model", "created": 0, "owned_by": "corral"},
    )


@pytest.mark.parametrize(("name", "shown"), [("n", "n"), ("m", "m"), ("a%22b%0A", "a?b?")])
def test_a_model_that_is_not_there_or_not_the_tenant_s_is_not_found(name: str, shown: str) -> None:
    ran = asked(b"", method="GET", path=f"/v1/models/{name}", told=context(models={"meta/llama:3": True}))
    message = f"The model {shown} does not exist here. GET /v1/models lists the models."
    assert refusal(ran) == (404, "model_not_found", message)


def test_a_model_of_the_list_is_only_read() -> None:
    ran = asked(b"", method="DELETE", path="/v1/models/m")
    assert (refusal(ran)[:2], ran.sent["allow"]) == ((405, "method_not_allowed"), "GET, HEAD")


def test_health_needs_no_key() -> None:
    ran = asked(b"", method="GET", path="/health", authorization=None)
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
    told = context() | ({"one host:m": True} if alone else {})
    ran = asked({"model": "m", "input": "more", "previous_response_id": previous}, path=path, told=told)
    assert ran.status == status
    if status:
        said = error(ran)
        assert (said["code"], said["param"]) == ("unsupported_parameter", "previous_response_id")
