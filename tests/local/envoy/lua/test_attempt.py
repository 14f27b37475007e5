"""What an attempt at a host is made of."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.envoy import scripts
from tests.local.envoy.lua.worker import NOW, Ran, Worker

SCRIPTS = Worker(scripts.ATTEMPT_SCRIPTS, ("seconds_of",))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True)


def to(model_id: str) -> dict[str, str]:
    return {"x-corral-link": "host/lab@0", "x-corral-to": f'127.0.0.1:9  "{model_id}"'}


OTHERS = st.dictionaries(st.text(), st.text() | st.integers(), max_size=3)


@given(NAMES, st.text(max_size=40), OTHERS, OTHERS)
def test_the_host_gets_its_own_id_of_the_model_and_the_rest_as_it_came(
    model: str, model_id: str, rest: dict[str, str | int], before: dict[str, str | int]
) -> None:
    more = [{f"{mark}{key}": value for key, value in each.items()} for mark, each in (("<", before), (">", rest))]
    sent = {**more[0], "model": model, **more[1]}
    body = json.dumps(sent).encode()
    from_ = body.index(b'"model": ') + 9
    at = {"named_from": from_, "named_to": from_ + len(model) + 2}
    asked = {"model": model, "endpoint": "/chat/completions?a=b", "length": len(body), **at}
    ran = SCRIPTS.request(
        {
            ":path": "/v1/chat/completions?a=b",
            ":authority": "gateway",
            "x-corral-to": f"host:1 /openai/v1 {json.dumps(model_id)}".encode(),
            "x-corral-link": "host/lab@0",
            "content-length": "7",
        },
        metadata={"corral": {"asked": asked}},
        pieces=[body],
    )
    length = ran.headers["content-length"]
    assert ran.headers == {
        ":path": "/openai/v1/chat/completions?a=b",
        ":authority": "host:1",
        "content-length": length,
    }
    if model_id != model:
        assert json.loads(ran.body) == {**sent, "model": model_id}
    else:
        assert (ran.body, length) == (b"", str(len(body)))


def test_a_host_of_the_same_name_for_the_model_gets_the_body_as_it_is_and_its_length() -> None:
    ran = SCRIPTS.request(
        {":path": "/x", ":authority": "gateway", **to("m"), "content-length": "99"},
        metadata={"corral": {"asked": {"model": "m", "endpoint": "/embeddings", "length": 13}}},
        pieces=[b'{"model":"m"}'],
    )
    assert ran.headers == {":path": "/embeddings", ":authority": "127.0.0.1:9", "content-length": "13"}
    assert ran.body == b""


WHOLE = b'{"choices": [{"message": {"content": "}"}}]}\n'


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (WHOLE, "application/json", "200"),
        (WHOLE, "application/json; charset=utf-8", "200"),
        (WHOLE, None, "200"),
        (b'{"error": null, "choices": []}', "application/json", "200"),
        (b"", "application/json", "502"),
        (WHOLE[:20], "application/json", "502"),
        (b"[]", "application/json", "502"),
        (b"<html></html>", "text/html", "502"),
        (WHOLE, "text/html", "502"),
        (b'{"error": {"message": "no"}}', "application/json", "502"),
        (b'{"error": "no"}', "application/json", "502"),
    ],
)
def test_an_answer_that_is_not_the_json_it_should_be_is_the_host_s_failure(
    body: bytes, kind: str | None, status: str
) -> None:
    headers = {":status": "200", **({"content-type": kind} if kind else {})}
    ran = SCRIPTS.response(headers, pieces=[body[:5], body[5:]])
    assert ran.headers[":status"] == status
    if status == "200" or b"error" in body:
        assert ran.body == body
    else:
        assert json.loads(ran.body)["error"]["code"] == "bad_answer"


def test_neither_a_stream_nor_an_error_is_waited_for() -> None:
    for status, kind in (("200", "text/event-stream"), ("404", "text/html"), ("503", "application/json")):
        ran = SCRIPTS.response({":status": status, "content-type": kind}, pieces=[b"x"])
        assert (ran.headers[":status"], ran.body) == (status, b"")


@given(st.integers(10**8, 7 * 10**9))
def test_a_date_is_read_as_http_writes_it(moment: int) -> None:
    assert SCRIPTS.call("seconds_of", formatdate(moment, usegmt=True)) == moment


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("30", 30),
        ("86400", 3600),
        (formatdate(NOW // 1000 + 9, usegmt=True), 9 - NOW % 1000 / 1000),
        (formatdate(NOW // 1000 - 9, usegmt=True), None),
        ("0", None),
        ("soon", None),
        (None, None),
    ],
)
def test_a_host_that_is_throttled_is_noted_with_its_time(retry_after: str | None, seconds: float | None) -> None:
    headers = {":status": "429", **({"retry-after": retry_after} if retry_after else {})}
    before = {"other": NOW + 5}
    ran = SCRIPTS.response(headers, metadata={"corral": {"asked": {}, "host": "lab", "throttled": before}})
    noted = {} if seconds is None else {"lab": pytest.approx(NOW + 1000 * seconds)}
    assert ran.metadata["corral"]["throttled"] == {**before, **noted}


ADDED = b',"stream_options":{"include_usage":true}'


def attempted(model_id: str, **known: Any) -> Ran:
    body = b'{"model":"m"' + ADDED + b',"n":1}'
    asked = {"model": "m", "endpoint": "/x", "length": len(body), "named_from": 9, "named_to": 12, "added": len(ADDED)}
    headers = {":path": "/x", ":authority": "gateway", **to(model_id)}
    return SCRIPTS.request(headers, metadata={"corral": {"asked": asked, **known}}, pieces=[body])


def test_a_stream_that_a_host_refuses_is_tried_again_without_what_the_gateway_has_added() -> None:
    metadata = {"corral": {"asked": {"added": len(ADDED)}}}
    for status in ("400", "422"):
        ran = SCRIPTS.response({":status": status}, metadata=metadata)
        assert (ran.headers["x-corral-unsupported"], ran.metadata["corral"]["refused"]) == ("stream_options", True)
    assert json.loads(attempted("own").body) == {"model": "own", "stream_options": {"include_usage": True}, "n": 1}
    for model_id in ("m", "own"):
        assert json.loads(attempted(model_id, refused=True).body) == {"model": model_id, "n": 1}


@pytest.mark.parametrize("known", [{"asked": {}}, {"asked": {"added": 40}, "refused": True}])
def test_a_refusal_of_the_client_s_own_request_is_the_client_s(known: dict[str, Any]) -> None:
    ran = SCRIPTS.response({":status": "400"}, metadata={"corral": known})
    assert ran.headers == {":status": "400"}
