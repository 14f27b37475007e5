"""Bodies that are not what they should be: refused before a host sees them, and without keeping a worker busy."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.abuse.arena import SMALL, WILD, Arena
from tests.abuse.wire import ASKED, answer, chunked, request

MEGABYTE = 1_000_000
OPEN = ASKED[:-1]


def nested(depth: int) -> bytes:
    return OPEN + b',"metadata":' + b"[" * depth + b"]" * depth + b"}"


REFUSED: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "invalid_json"),
    ("a list", b"[" + ASKED + b"]", 400, "invalid_json"),
    ("an object that ends too early", OPEN, 400, "invalid_json"),
    ("an object and more", ASKED + b"}", 400, "invalid_json"),
    ("two objects", ASKED + ASKED, 400, "invalid_json"),
    ("a comma too many", OPEN + b",}", 400, "invalid_json"),
    ("a comment", OPEN + b"/* */}", 400, "invalid_json"),
    ("a key without quotes", OPEN + b",a:1}", 400, "invalid_json"),
    ("201 levels", nested(201), 400, "invalid_json"),
    ("1,000,000 brackets", nested(500_000), 400, "invalid_json"),
    ("1,000,000 brackets that are not closed", OPEN + b',"a":' + b"[" * MEGABYTE, 400, "invalid_json"),
    ("1,000,000 objects", OPEN + b',"a":[' + b"{}," * MEGABYTE + b"{}]}", 400, "invalid_json"),
    ("1,000,001 strings", OPEN + b',"a":[' + b'"",' * MEGABYTE + b'""]}', 400, "invalid_json"),
    ("1,000,000 keys", OPEN + b',"a":1' * MEGABYTE + b"}", 400, "invalid_json"),
    ("a string without an end", OPEN + b',"a":"' + b'\\"' * MEGABYTE, 400, "invalid_json"),
    ("no model", b'{"messages":[]}', 400, "model_required"),
    ("two models", OPEN + b',"model":"recorded"}', 400, "invalid_json"),
    ("a second model with escapes", OPEN + b',"mod\\u0065l":"recorded"}', 400, "invalid_json"),
    ("a model with escapes alone", ASKED.replace(b'"model"', b'"mod\\u0065l"'), 400, "invalid_json"),
    ("a model of 1 MB", b'{"model":"' + b"m" * MEGABYTE + b'"}', 404, "model_not_found"),
    ("a model of 1 MB in escapes", b'{"model":"' + b"\\u006d" * MEGABYTE + b'"}', 404, "model_not_found"),
    ("a model that is not UTF-8", b'{"model":"\xff\xfe"}', 404, "model_not_found"),
    ("a model with a line end", b'{"model":"m\\r\\nx-corral-model: recorded"}', 404, "model_not_found"),
    ("a mark of the byte order", ASKED.decode().encode("utf-8-sig"), 400, "invalid_json"),
    ("UTF-16", ASKED.decode().encode("utf-16"), 400, "invalid_json"),
    ("UTF-16 without a mark", ASKED.decode().encode("utf-16-le"), 400, "invalid_json"),
    ("UTF-32", ASKED.decode().encode("utf-32"), 400, "invalid_json"),
    ("gzip that is not said", gzip.compress(ASKED), 400, "invalid_json"),
    ("NUL", bytes(100), 400, "invalid_json"),
    ("a form", b"model=m", 400, "invalid_json"),
]


@pytest.mark.parametrize(("body", "status", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_body_that_could_mislead_a_host_reaches_none(served: Arena, body: bytes, status: int, code: str) -> None:
    reached = served.reached()
    found = answer(served.port, request(WILD, body=body))
    assert (found.status, found.code, served.reached() - reached) == (status, code, 0)


UNTAKEN: list[tuple[str, bytes, int, str]] = [
    ("gzip", request(WILD, b"Content-Encoding: gzip", body=gzip.compress(ASKED)), 415, "encoding_not_taken"),
    ("a form", request(WILD, content_type=b"application/x-www-form-urlencoded"), 400, "json_required"),
    ("no type", request(WILD, content_type=None), 400, "json_required"),
    ("another type", request(WILD, content_type=b"text/plain; a=application/json"), 400, "json_required"),
    ("50 MiB and a byte", request(WILD, body=b" " * (50 * 2**20 + 1)), 413, "request_too_large"),
    ("a tenant's 64 KiB and a byte", request(SMALL, body=b" " * (2**16 + 1)), 413, "request_too_large"),
    (
        "the same in a chunk",
        request(SMALL, b"Transfer-Encoding: chunked", body=chunked(b" " * (2**16 + 1)), length=False),
        413,
        "request_too_large",
    ),
    (
        "a length that promises more than it may",
        request(SMALL, b"Content-Length: 999999999", body=b"", length=False),
        413,
        "request_too_large",
    ),
]


@pytest.mark.parametrize(("data", "status", "code"), [row[1:] for row in UNTAKEN], ids=[row[0] for row in UNTAKEN])
def test_a_body_of_another_kind_or_size_is_refused(served: Arena, data: bytes, status: int, code: str) -> None:
    reached = served.reached()
    found = answer(served.port, data)
    assert (found.status, found.code, served.reached() - reached) == (status, code, 0)


@pytest.mark.parametrize(
    "data",
    [
        request(WILD, body=nested(200)),
        request(SMALL, body=ASKED + b" " * (2**16 - len(ASKED))),
        request(WILD, body=ASKED + b" " * 4 * MEGABYTE),
        request(WILD, body=b" \r\n\t" + ASKED),
        request(WILD, content_type=b"Application/JSON; charset=utf-8"),
    ],
    ids=["200 levels", "64 KiB", "spaces behind", "spaces in front", "a type in capitals"],
)
def test_a_body_at_a_limit_is_answered(served: Arena, data: bytes) -> None:
    reached = served.reached()
    found = answer(served.port, data)
    assert (found.status, found.code, served.reached() - reached) == (200, None, 1)


def test_bodies_that_take_long_to_read_keep_nobody_waiting(served: Arena) -> None:
    worst = [body for name, body, *_ in REFUSED if "1,000,00" in name or "1 MB" in name]
    with served.calm_unharmed() as calm, served.bounded(mebibytes=150):
        while len(calm.seconds) < 30 and not calm.failures:
            for body in worst:
                assert answer(served.port, request(WILD, body=body)).status in {400, 404}


@settings(max_examples=150)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, len(ASKED)),
            st.integers(0, 12),
            st.one_of(
                st.sampled_from([b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\\u006d", b'"model":"recorded",']),
                st.binary(max_size=3),
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_what_reaches_a_host_names_the_model_that_was_routed_by(
    served: Arena, edits: list[tuple[int, int, bytes]]
) -> None:
    body = ASKED
    for start, cut, piece in edits:
        body = body[:start] + piece + body[start + cut :]
    before = len(served.host.requests)
    found = answer(served.port, request(WILD, body=body))
    assert found.status in {200, 400, 404}
    assert found.headers["content-type"] == "application/json"
    if found.status == 200:
        asked = json.loads(body)["model"]
        assert asked == ("recorded" if found.headers["x-corral-host"] == "lab" else "m")
    for recorded in served.host.requests[before:]:
        assert recorded.body.startswith(b'{"model":"lab-m"')
        assert recorded.body.count(b'"model":') == 1
