"""Requests that one server might read otherwise than another: none of them reaches a host."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.abuse.arena import WILD, Arena
from tests.abuse.wire import ASKED, CHAT, answers, chunked, request

SMUGGLED = b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"


def coded(*codings: bytes) -> bytes:
    return request(WILD, *(b"Transfer-Encoding: " + coding for coding in codings), body=chunked(), length=False)


def lengthed(*lengths: bytes) -> bytes:
    return request(WILD, *(b"Content-Length: " + length for length in lengths), length=False)


REFUSED: list[tuple[str, bytes, int, str]] = [
    ("a length and chunks", request(WILD, CHUNKED, body=SMUGGLED), 400, "bad_request"),
    (
        "chunks and a length",
        request(WILD, CHUNKED, b"Content-Length: 6", body=chunked(), length=False),
        400,
        "bad_request",
    ),
    ("an unknown coding", coded(b"xchunked"), 501, "unsupported"),
    ("chunked, identity", coded(b"chunked, identity"), 501, "unsupported"),
    ("identity, chunked", coded(b"identity, chunked"), 501, "unsupported"),
    ("gzip, chunked", coded(b"gzip, chunked"), 501, "unsupported"),
    ("a coding in quotes", coded(b'"chunked"'), 501, "unsupported"),
    ("a coding behind a vertical tab", coded(b"\x0bchunked"), 400, "bad_request"),
    ("chunked twice", coded(b"chunked", b"chunked"), 501, "unsupported"),
    (
        "a space before the colon",
        request(WILD, b"Transfer-Encoding : chunked", body=chunked(), length=False),
        400,
        "bad_request",
    ),
    ("two lengths", lengthed(b"5", b"60"), 400, "bad_request"),
    ("one length twice", lengthed(b"60", b"60"), 400, "bad_request"),
    ("a list of lengths", lengthed(b"60, 60"), 400, "bad_request"),
    ("a length with a sign", lengthed(b"+60"), 400, "bad_request"),
    ("a negative length", lengthed(b"-1"), 400, "bad_request"),
    ("a length in hexadecimal", lengthed(b"0x3c"), 400, "bad_request"),
    ("an endless length", lengthed(b"9" * 30), 400, "bad_request"),
    ("an empty length", lengthed(b""), 400, "bad_request"),
    ("a chunk without a size", request(WILD, CHUNKED, body=b"zz\r\n", length=False), 400, "bad_request"),
    ("an endless chunk", request(WILD, CHUNKED, body=b"f" * 17 + b"\r\n", length=False), 400, "bad_request"),
    (
        "chunks that end in LF",
        request(WILD, CHUNKED, body=b"%x\n%b\n0\n\n" % (len(ASKED), ASKED), length=False),
        400,
        "bad_request",
    ),
    ("CR in a header's name", request(WILD, b"X\rA: b"), 400, "bad_request"),
    ("NUL in a header's name", request(WILD, b"X\0A: b"), 400, "bad_request"),
    ("NUL in a header", request(WILD, b"X-A: b\0c"), 400, "bad_request"),
    ("a space in a header's name", request(WILD, b"X A: b"), 400, "bad_request"),
    ("a header without a name", request(WILD, b": b"), 400, "bad_request"),
    ("a header without a colon", request(WILD, b"X-A"), 400, "bad_request"),
    ("no Host", request(WILD, host=None), 400, "bad_request"),
    ("a Host that is none", request(WILD, host=b"a b/@"), 400, "bad_request"),
    ("HTTP/0.9", b"GET /v1/models\r\n\r\n", 400, "bad_request"),
    ("another server's URL", request(WILD, line=b"POST https://elsewhere/v1/models HTTP/1.1"), 403, "unsupported"),
    ("CONNECT", request(WILD, line=b"CONNECT elsewhere:443 HTTP/1.1", body=b""), 401, "invalid_api_key"),
    ("OPTIONS *", request(WILD, line=b"OPTIONS * HTTP/1.1", body=b""), 404, "unsupported"),
    ("TRACE", request(WILD, line=CHAT.replace(b"POST", b"TRACE"), body=b""), 405, "method_not_allowed"),
    ("DELETE", request(WILD, line=CHAT.replace(b"POST", b"DELETE"), body=b""), 405, "method_not_allowed"),
    ("a method that is none", request(WILD, line=CHAT.replace(b"POST", b"BREW")), 400, "bad_request"),
    ("a method in small letters", request(WILD, line=CHAT.lower().replace(b"http", b"HTTP")), 400, "bad_request"),
    (
        "a WebSocket",
        request(WILD, b"Connection: Upgrade", b"Upgrade: websocket", line=CHAT.replace(b"POST", b"GET"), body=b""),
        403,
        "unsupported",
    ),
    ("a fragment", request(WILD, line=b"POST /v1/chat/completions#a HTTP/1.1"), 400, "bad_request"),
    ("an escaped slash", request(WILD, line=b"POST /v1/chat%2fcompletions HTTP/1.1"), 404, "unknown_url"),
    ("two slashes", request(WILD, line=b"POST //v1/chat/completions HTTP/1.1"), 404, "unknown_url"),
    ("a path out of the root", request(WILD, line=b"POST /../../etc/passwd HTTP/1.1"), 404, "unknown_url"),
    ("an escaped NUL", request(WILD, line=b"POST /v1/%00 HTTP/1.1"), 400, "bad_request"),
    ("bytes beyond ASCII in the path", request(WILD, line=b"POST /v1/\xff HTTP/1.1"), 400, "bad_request"),
    ("a long path", request(WILD, line=b"POST /v1/" + b"a" * 50_000 + b" HTTP/1.1"), 404, "unknown_url"),
    ("headers over 60 KiB", request(WILD, b"X-A: " + b"a" * 61_440), 431, "headers_too_large"),
    ("a header of 1 MB", request(WILD, b"X-A: " + b"a" * 1_000_000), 431, "headers_too_large"),
    ("more than 100 headers", request(WILD, *(b"X-%d: a" % n for n in range(100))), 431, "headers_too_large"),
    ("TLS", bytes.fromhex("16030100a5010000a10303") + bytes(160), 400, "bad_request"),
    ("noise", b"\xff\xfe\xfd\r\n\r\n", 400, "bad_request"),
]


@pytest.mark.parametrize(("data", "status", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_request_that_can_be_read_in_two_ways_is_refused_and_is_one(
    served: Arena, data: bytes, status: int, code: str
) -> None:
    reached, received = served.reached(), served.received()
    found = [(answer.status, answer.code) for answer in answers(served.port, data)]
    assert (found, served.reached() - reached, served.received() - received) == ([(status, code)], 0, 1)


TAKEN: list[tuple[str, bytes]] = [
    ("chunks", coded(b"chunked")),
    ("a coding in capitals", coded(b"CHUNKED")),
    ("a coding behind a tab", coded(b"\tchunked")),
    ("a coding on a folded line", coded(b"\r\n chunked")),
    ("chunks with extensions", request(WILD, CHUNKED, body=chunked().replace(b"\r\n", b";a=b\r\n", 1), length=False)),
    ("trailers", request(WILD, CHUNKED, body=chunked(ASKED, b"x-corral-model: recorded"), length=False)),
    ("lines that end in LF", request(WILD).replace(b"\r\n", b"\n")),
    ("CR in a header", request(WILD, b"X-A: b\rX-Corral-Model: recorded")),
    ("two Hosts", request(WILD, b"Host: elsewhere")),
    ("the whole URL", request(WILD, line=b"POST http://elsewhere/v1/chat/completions HTTP/1.1")),
    ("a path with dots", request(WILD, line=b"POST /v1/a/../chat/completions HTTP/1.1")),
    ("Expect", request(WILD, b"Expect: 100-continue")),
    ("HTTP/1.0", request(WILD, line=b"POST /v1/chat/completions HTTP/1.0")),
    ("HTTP/1.2", request(WILD, line=b"POST /v1/chat/completions HTTP/1.2")),
    ("chunks in HTTP/1.0", request(WILD, CHUNKED, line=CHAT.replace(b"1.1", b"1.0"), body=chunked(), length=False)),
    ("an upgrade to HTTP/2", request(WILD, b"Connection: Upgrade", b"Upgrade: h2c")),
    ("headers of 59 KB", request(WILD, b"X-A: " + b"a" * 59_000)),
    ("95 headers", request(WILD, *(b"X-%d: a" % n for n in range(95)))),
    ("headers beyond ASCII", request(WILD, b"X-A: \xff\xfe", b"X-Request-Id: \xc3\xa4")),
]


@pytest.mark.parametrize("data", [row[1] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_what_can_be_read_in_one_way_alone_is_one_request(served: Arena, data: bytes) -> None:
    reached, received = served.reached(), served.received()
    found = [(answer.status, answer.headers["x-corral-host"]) for answer in answers(served.port, data)]
    assert found in ([(200, "groq")], [(200, "deepinfra")])
    assert (served.reached() - reached, served.received() - received) == (1, 1)


GOOD = request(WILD, line=b"GET /v1/models HTTP/1.1", body=b"")
PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"\xff",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"0",
    ]
)


@settings(max_examples=150)
@given(edits=st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 8), PIECES), min_size=1, max_size=4))
def test_no_spoilt_head_gets_more_than_an_answer(served: Arena, edits: list[tuple[int, int, bytes]]) -> None:
    data = GOOD
    for start, cut, piece in edits:
        data = data[:start] + piece + data[start + cut :]
    for answer in answers(served.port, data, at_once=True):
        assert answer.status in {200, 400, 401, 403, 404, 405, 408, 426, 431, 501}
        assert answer.headers["content-type"] == "application/json"
