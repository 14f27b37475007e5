"""Callers who are nobody, and what a host sees of those who are somebody."""

from __future__ import annotations

import secrets

import httpx
import pytest

from tests.abuse.arena import BARRED, CALM, WILD, Arena
from tests.abuse.wire import ASKED, CHAT, answer, connect, read_answer, request

RECORDED = ASKED.replace(b'"m"', b'"recorded"')


def keyed(*headers: bytes) -> bytes:
    """A request with these headers for a key."""
    return b"\r\n".join(
        [CHAT, b"Host: gateway", b"Content-Type: application/json", b"Content-Length: %d" % len(ASKED), *headers]
    ) + (b"\r\n\r\n" + ASKED)


NOBODY: list[tuple[str, bytes]] = [
    ("none", keyed()),
    ("an empty one", keyed(b"Authorization: ")),
    ("no scheme", keyed(b"Authorization: " + WILD.encode())),
    ("another scheme", keyed(b"Authorization: Basic " + WILD.encode())),
    ("two words", keyed(b"Authorization: Bearer " + WILD.encode() + b" " + CALM.encode())),
    ("two keys in one header", keyed(b"Authorization: Bearer " + WILD.encode() + b", Bearer " + CALM.encode())),
    ("two headers", keyed(*[b"Authorization: Bearer " + WILD.encode()] * 2)),
    ("a part of one", keyed(b"Authorization: Bearer " + WILD[:-1].encode())),
    ("one and more", keyed(b"Authorization: Bearer " + WILD.encode() + b"x")),
    ("in capitals", keyed(b"Authorization: Bearer " + WILD.upper().encode())),
    ("of 50 KB", keyed(b"Authorization: Bearer " + b"x" * 50_000)),
    ("of 50 KB with dots", keyed(b"Authorization: Bearer " + b"a.b.c" * 10_000)),
    ("bytes beyond ASCII", keyed(b"Authorization: Bearer \xff\xfe\xfd")),
    ("a token that nobody signed", keyed(b"Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ3aWxkIn0.")),
    ("a tenant's name", keyed(b"Authorization: Bearer wild", b"X-Corral-Tenant: wild")),
    ("in the query", keyed().replace(b"completions", b"completions?api-key=" + b"x" * 20, 1)),
]


@pytest.mark.parametrize("data", [row[1] for row in NOBODY], ids=[row[0] for row in NOBODY])
def test_a_key_that_is_none_gets_nowhere(served: Arena, data: bytes) -> None:
    reached = served.reached()
    found = answer(served.port, data)
    assert (found.status, found.code, served.reached() - reached) == (401, "invalid_api_key", 0)
    assert found.headers["www-authenticate"] == "Bearer"


def test_who_may_not_use_a_model_gets_403_whatever_else_the_request_says(served: Arena) -> None:
    reached = served.reached()
    found = answer(served.port, request(BARRED, b"X-Corral-Model: m", b"X-Corral-Tenant: wild"))
    assert (found.status, found.code, served.reached() - reached) == (403, "model_not_allowed", 0)


def test_who_is_nobody_need_not_send_the_body_to_be_told(served: Arena) -> None:
    data = request("sk-corral-nobody", b"Content-Length: 50000000", body=b"", length=False)
    with connect(served.port) as connection, connection.makefile("rb") as stream:
        connection.sendall(data)
        found = read_answer(stream)
    assert found
    assert (found.status, found.code) == (401, "invalid_api_key")


def guess(key: str) -> bytes:
    return request(key, line=b"GET /v1/models HTTP/1.1", body=b"")


def test_guessing_keys_costs_the_others_nothing_and_leaves_nothing_behind(served: Arena) -> None:
    def series() -> set[str]:
        return {*served.statistics(r"^corral\.")}

    answer(served.port, guess("sk-corral-a-first-wrong-one"))
    reached, before = served.reached(), series()
    with served.bounded(mebibytes=60), connect(served.port) as connection, connection.makefile("rb") as stream:
        for number in range(2_000):
            size = 30_000 if number % 20 == 0 else 32
            connection.sendall(guess(secrets.token_hex(size)[:size]))
            found = read_answer(stream)
            assert found
            assert found.status == 401
    assert (served.reached(), series() - before) == (reached, set())
    with served.calm_unharmed(), connect(served.port) as connection, connection.makefile("rb") as stream:
        for _ in range(500):
            connection.sendall(guess("x" * 500))
            assert read_answer(stream)


def test_a_host_sees_nothing_of_the_caller_but_what_it_asks(served: Arena) -> None:
    forged = {
        **dict.fromkeys(("x-corral-model", "x-corral-tenant", "x-corral-link", "x-corral-to", "x-corral-host"), "m"),
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-max-retries": "1000",
        "x-envoy-retry-on": "5xx",
        "x-envoy-original-path": "/v1/models",
        "x-envoy-expected-rq-timeout-ms": "1",
        "x-forwarded-for": "10.1.2.3",
        "x-forwarded-host": "elsewhere",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "1",
        "x-ai-eg-model": "m",
        "x-aigw-api-key": "another",
        "x-gateway-destination-endpoint": "10.1.2.3:80",
        "x-real-ip": "10.1.2.3",
        "forwarded": "for=10.1.2.3",
        "via": "1.1 elsewhere",
        "cookie": "session=1",
        "api-key": "another",
        "x-api-key": "another",
        "proxy-authorization": "Basic b3RoZXI=",
        "x_corral_model": "m",
        "api_key": "another",
        "connection": "keep-alive, x-hop",
        "x-hop": "1",
        "x-request-id": "of the client",
        "x-client-says": "something",
    }
    found = httpx.post(
        f"{served.url}/chat/completions?from=here",
        content=RECORDED,
        headers={**forged, "authorization": f"Bearer {WILD}", "content-type": "application/json", "user-agent": "it"},
    )
    assert (found.status_code, found.headers["x-corral-host"]) == (200, "lab")
    asked = served.host.requests[-1]
    assert asked.line == b"POST /v1/chat/completions?from=here HTTP/1.1"
    assert asked.body == b'{"model":"lab-m","messages":[{"role":"user","content":"hello"}]}'
    assert {name: value for name, value in asked.headers.items() if name != "x-request-id"} == {
        "host": f"127.0.0.1:{served.host.port}",
        "content-type": "application/json",
        "content-length": str(len(asked.body)),
        "accept": "*/*",
        "user-agent": "it",
        "x-client-says": "something",
    }
    assert asked.headers["x-request-id"] != "of the client"
