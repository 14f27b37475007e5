"""What an attempt at a host is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.module.asking import asked, context, host
from tests.local.module.asking import model as named
from tests.local.module.worker import Stream, Worker

WORKER = Worker()
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True)
OTHERS = st.dictionaries(st.text(max_size=20), st.text(max_size=20) | st.integers(), max_size=3)


@given(NAMES, st.text(max_size=40), OTHERS, OTHERS)
def test_the_host_gets_its_own_id_of_the_model_and_the_rest_as_it_came(
    model: str, model_id: str, rest: dict[str, str | int], before: dict[str, str | int]
) -> None:
    more = [{f"{mark}{key}": value for key, value in each.items()} for mark, each in (("<", before), (">", rest))]
    sent = {**more[0], "model": model, **more[1]}
    body = json.dumps(sent, ensure_ascii=False).encode("utf-8", "replace")
    told = context(more=[host("there", "host:1", "/openai/v1"), named(model, ("there", 100, 0, model_id))])
    of = asked(body, path="/v1/chat/completions?a=b", told=told, worker=WORKER)
    if of.ran.status is not None:  # a key with an escape
        assert b"\\" in body
        return
    ran = of.stream.attempt(body)
    assert ran.headers == {
        ":method": "POST",
        ":path": "/openai/v1/chat/completions?a=b",
        ":authority": "host:1",
        "content-type": "application/json",
        "content-length": str(len(ran.body)),
    }
    assert json.loads(ran.body) == {**json.loads(body), "model": model_id}
    assert model_id != model or ran.body == body


def test_attempts_of_one_request_have_the_body_each_as_it_came() -> None:
    names = ("a-long-name", "m", "b")
    hosts = [host(name) for name in names]
    told = context(more=[*hosts, named("n", *((name, 100, place, name) for place, name in enumerate(names)))])
    of = asked({"model": "n", "stream": True, "n": 1}, told=told, worker=WORKER)
    for name in names:
        ran = of.stream.attempt(of.sent)
        want = {"model": name, "stream": True, "n": 1, "stream_options": {"include_usage": True}}
        assert (json.loads(ran.body), ran.headers["content-length"]) == (want, str(len(ran.body)))


def test_the_key_of_a_host_is_read_from_its_file_and_goes_into_its_header_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"key of {name}\n")
    told = context(
        more=[
            host("one", "a", "", "authorization", tmp_path / "one"),
            host("two", "a", "", "api-key", tmp_path / "two"),
            host("three"),
            named("n", ("one", 100, 0), ("two", 100, 1), ("three", 100, 2)),
        ]
    )
    of = asked({"model": "n"}, told=told, worker=Worker())
    for name in ("one", "two"):
        (tmp_path / name).unlink()  # a plan has the keys that there were when it came
    seen = [
        {name: value for name, value in of.stream.attempt(of.sent).headers.items() if "key of" in value}
        for _ in range(4)
    ]
    one = {"authorization": "key of one"}
    assert seen == [one, {"api-key": "key of two"}, {}, one]


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
    ran = attempted().attempt_answer(headers, [piece for piece in (body[:5], body[5:]) if piece])
    assert ran.headers[":status"] == status
    if status == "200" or b"error" in body or not body:
        assert ran.body == body
    else:
        assert json.loads(ran.body)["error"]["code"] == "bad_answer"


def test_an_error_is_not_waited_for() -> None:
    for status, kind in (("404", "text/html"), ("503", "application/json")):
        ran = attempted().attempt_answer({":status": status, "content-type": kind}, [b"x", b"y"])
        assert (ran.headers[":status"], ran.passed) == (status, (b"x", b"y"))


EVENTS = {":status": "200", "content-type": "text/event-stream"}
LONG = b"data: " + b"x" * 65_530


@pytest.mark.parametrize(
    ("pieces", "passed"),
    [
        ([b"data: {}\n\n", b"data: [DONE]\n\n"], (b"data: {}\n\n", b"data: [DONE]\n\n")),
        ([b"data: {", b"}\n", b"\n", b"more"], (b"data: {}\n\n", b"more")),
        ([b": I am here\r\n\r\n", b"x"], (b": I am here\r\n\r\n", b"x")),
        ([b"data: {", b"}"], (b"data: {}",)),
        ([LONG[:9], LONG[9:], b"x"], (LONG, b"x")),
        ([b'data: {"error":null}\n\n'], (b'data: {"error":null}\n\n',)),
    ],
)
def test_a_stream_waits_for_its_first_event_alone(pieces: list[bytes], passed: tuple[bytes, ...]) -> None:
    ran = attempted().attempt_answer(EVENTS, pieces)
    assert (ran.headers, ran.passed) == (EVENTS, passed)


ERROR = b'{"error":{"message":"no"}}'


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([b"data: " + ERROR + b"\n\n", b"data: [DONE]\n\n"], ERROR),
        ([b'event: error\ndata: {"type":"error",', b'"error":{}}\n\n', b"x"], b'{"type":"error","error":{}}'),
        ([b'data: "error": "no"\n\n'], b"{"),
        ([b""], b"{"),
    ],
)
def test_of_one_that_begins_with_an_error_or_not_at_all_another_host_may_answer(
    pieces: list[bytes], body: bytes
) -> None:
    ran = attempted().attempt_answer(EVENTS, pieces)
    assert (ran.headers[":status"], ran.headers["content-type"]) == ("502", "application/json")
    assert ran.body.startswith(body)
    assert ran.headers["content-length"] == str(len(ran.body))
    assert json.loads(ran.body)


ADDED = b',"stream_options":{"include_usage":true}'


def attempted() -> Stream:
    """A stream, at its first attempt."""
    of = asked(b'{"model":"m","stream":true}', worker=WORKER)
    of.stream.attempt(of.sent)
    return of.stream


@pytest.mark.parametrize("status", ["400", "422"])
def test_a_stream_that_a_host_refuses_is_tried_again_without_what_the_gateway_has_added(status: str) -> None:
    body = b'{"model":"n","stream":true}'
    told = context(more=[named("n", ("lab", 100, 0, "own"), ("other", 100, 1, "n"))])
    stream = asked(body, told=told, worker=WORKER).stream
    assert stream.attempt(body).body == b'{"model":"own"' + ADDED + b',"stream":true}'
    for again in (False, True):
        ran = stream.attempt_answer({":status": status})
        assert ran.headers == {":status": status if again else "498"}
        for model_id in ("n", "own"):
            want = b'{"model":"' + model_id.encode() + b'","stream":true}'
            assert stream.attempt(body).body == want


@pytest.mark.parametrize(
    "body", [{"model": "m"}, {"model": "m", "stream": True, "stream_options": {}}, {"model": "m", "stream": False}]
)
def test_a_refusal_of_the_client_s_own_request_is_the_client_s(body: dict[str, object]) -> None:
    of = asked(body, worker=WORKER)
    of.stream.attempt(of.sent)
    assert of.stream.attempt_answer({":status": "400"}).headers == {":status": "400"}


def test_no_host_sees_where_a_request_comes_from_and_no_client_whose_account_a_host_has() -> None:
    of = asked({"model": "m"}, worker=WORKER, cookie="a", via="b", x_forwarded_for="c", x_other="d", x_api_key="e")
    seen = {*of.stream.attempt(of.sent).headers}
    assert seen == {":method", ":path", ":authority", "content-type", "content-length", "x-other"}
    own = {":status": "200", "content-type": "application/json", "x-request-id": "1", "date": "2"}
    accounts = {"set-cookie": "a", "openai-organization": "b", "x-ratelimit-limit-tokens": "c", "location": "d"}
    assert of.stream.attempt_answer({**accounts, **own}, [b"{}"]).headers == own


def test_a_host_that_the_adapter_says_does_not_take_a_request_is_not_the_last_to_be_asked() -> None:
    of = asked({"model": "m"}, worker=WORKER)
    for status in ("498", "400"):
        of.stream.attempt(of.sent)
        refusal = {":status": "400", "x-corral-unsupported": "seed"} if status == "498" else {":status": "400"}
        assert of.stream.attempt_answer(refusal).headers == {":status": status}
    assert of.stream.answer({":status": "400"}).headers[":status"] == "400"


def test_what_no_host_takes_has_the_status_of_the_last_that_was_asked() -> None:
    of = asked({"model": "m"}, worker=WORKER)
    of.stream.attempt(of.sent)
    assert of.stream.attempt_answer({":status": "422", "x-corral-unsupported": "seed"}).headers == {":status": "498"}
    assert of.stream.answer({":status": "498"}).headers[":status"] == "422"
