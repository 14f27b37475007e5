"""What tenants may have at once and within a minute, as they meet it: a real Envoy, and clients that also hang up."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from corral.plan.credentials import hash_of
from tests.local.gateway import Gateway, serving, until

TENANTS: dict[str, dict[str, Any]] = {
    "normal": {},
    "high": {"priority": "high"},
    "three": {"concurrentRequests": 3, "priority": "high"},
    "requests": {"requestsPerMinute": 5},
    "tokens": {"tokensPerMinute": 600},
    "streams": {"tokensPerMinute": 600},
    "leaving": {"tokensPerMinute": 60},
    "model": {"perModel": {"slow": {"requestsPerMinute": 2}}},
}
KEYS = {tenant: f"sk-corral-{tenant}-0123456789abcdef" for tenant in TENANTS}
TOTAL, OF_NORMAL = 10, 8

STACK: dict[str, Any] = {
    "corral:engine": {"simulate": "always", "concurrentRequests": TOTAL, "pagePort": 0},
    "corral:hosts": {
        "groq": {"models": {"m": "groq-m"}},
        "deepinfra": {"models": {"m": "deepinfra-m"}},
        "together": {"models": {"slow": "together-slow", "silent": "together-silent"}},
        "coreweave": {"models": {"failing": "coreweave-failing"}},
    },
    "corral:models": {
        "m": {"shares": {"groq": 60, "deepinfra": 40}},
        "slow": {"shares": {"together": 100}},
        "silent": {"shares": {"together": 100}},
        "failing": {"shares": {"coreweave": 100}},
    },
    "corral:gateway": {"origins": ["https://chat.example.com"]},
    "corral:tenants": {
        tenant: {"keys": [f"sha256:{hash_of(KEYS[tenant])}"], **said} for tenant, said in TENANTS.items()
    },
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("limits") / "project", STACK) as gateway:
        with gateway.control() as control:
            control.set_speed("together", tokens_per_second=20)
            control.set_fault("together", "hang", model="together-silent")
        yield gateway


@pytest.fixture
def gateway(served: Gateway) -> Gateway:
    """Nothing is under way."""
    until(lambda: not under_way(served), "nothing is under way")
    return served


def test_a_browser_may_ask_from_the_pages_of_the_stack_and_learns_that_without_a_key(gateway: Gateway) -> None:
    def answer(method: str, origin: str, **headers: str) -> httpx.Response:
        return httpx.request(method, f"{gateway.url}/models", headers={"origin": origin, **headers})

    asking = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-any"}
    allowed = answer("OPTIONS", "https://chat.example.com", **asking)
    cors = {name: value for name, value in allowed.headers.items() if name.startswith("access-control")}
    assert (allowed.status_code, cors) == (
        200,
        {
            "access-control-allow-origin": "https://chat.example.com",
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": "*, authorization",
            "access-control-expose-headers": "*",
            "access-control-max-age": "86400",
        },
    )
    refused = answer("GET", "https://chat.example.com")
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://chat.example.com")
    listed = answer("GET", "https://chat.example.com", authorization=f"Bearer {KEYS['normal']}")
    assert (listed.status_code, listed.headers["access-control-allow-origin"]) == (200, "https://chat.example.com")
    elsewhere = answer("OPTIONS", "https://elsewhere.example.com", **asking)
    assert "access-control-allow-origin" not in elsewhere.headers


def under_way(gateway: Gateway, tenant: str | None = None) -> int:
    name = f"corral.active.tenant.{tenant}" if tenant else "http.gateway.downstream_rq_active"
    return gateway.gauges(rf"^{name}$").get(name, 0)


def body(model: str, words: int, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "word " * words}], **more}


def sent_by(tenant: str) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[tenant]}", "content-type": "application/json"}


def ask(gateway: Gateway, tenant: str, model: str = "m", *, words: int = 5, **more: Any) -> httpx.Response:
    return httpx.post(
        f"{gateway.url}/chat/completions", json=body(model, words, **more), headers=sent_by(tenant), timeout=60
    )


def begin(gateway: Gateway, tenant: str, model: str) -> HTTPConnection:
    """A stream that was asked for; to close it is to hang up."""
    url = urlsplit(gateway.url)
    assert url.hostname
    connection = HTTPConnection(url.hostname, url.port, timeout=60)
    text = json.dumps(body(model, 2_000, stream=True))
    connection.request("POST", f"{url.path}/chat/completions", text, sent_by(tenant))
    return connection


class Held:
    """Streams that are under way until the end of the block."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._open = ExitStack()

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def more(self, tenant: str, number: int = 1) -> list[int]:
        """Begins so many; what each was answered, once its answer has begun."""
        statuses: list[int] = []
        for _ in range(number):
            connection = self._open.enter_context(closing(begin(self._gateway, tenant, "slow")))
            statuses.append(connection.getresponse().status)
        return statuses


def assert_all_three_are_free(gateway: Gateway) -> None:
    until(lambda: (under_way(gateway, "three"), under_way(gateway)) == (0, 0), "nothing is under way")
    with Held(gateway) as held:
        assert held.more("three", 4) == [200, 200, 200, 429]
    until(lambda: (under_way(gateway, "three"), under_way(gateway)) == (0, 0), "nothing is under way")


def test_a_tenant_has_no_more_under_way_than_it_may(gateway: Gateway) -> None:
    with Held(gateway) as held:
        assert held.more("three", 3) == [200] * 3
        with ThreadPoolExecutor(8) as clients:
            refused = list(clients.map(lambda _: ask(gateway, "three"), range(24)))
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(429, "1")}
        assert refused[0].json()["error"] == {
            "message": "Tenant three has 3 requests under way, the most it may have at once. "
            "Try again when one has ended.",
            "type": "requests",
            "code": "rate_limit_exceeded",
            "param": None,
        }
        assert (under_way(gateway, "three"), under_way(gateway)) == (3, 3)
        assert ask(gateway, "normal").status_code == 200
    assert_all_three_are_free(gateway)


@pytest.mark.parametrize("stream", [False, True])
def test_a_place_is_free_after_an_answer(gateway: Gateway, stream: bool) -> None:
    assert [ask(gateway, "three", stream=stream).status_code for _ in range(7)] == [200] * 7
    assert_all_three_are_free(gateway)


@pytest.mark.parametrize(("kind", "status"), [("500", 500), ("404", 404), ("reset", 502), ("reset-mid-stream", 200)])
def test_a_place_is_free_after_a_host_has_failed(gateway: Gateway, kind: Any, status: int) -> None:
    with gateway.control() as control:
        control.set_fault("coreweave", kind)
    url = f"{gateway.url}/chat/completions"
    for _ in range(4):
        with httpx.stream("POST", url, json=body("failing", 50, stream=True), headers=sent_by("three")) as answer:
            if status == 200:
                with pytest.raises(httpx.RemoteProtocolError):
                    answer.read()
            assert answer.status_code == status or answer.status_code >= 500
    assert_all_three_are_free(gateway)


def test_a_request_that_is_refused_takes_no_place(gateway: Gateway) -> None:
    assert ask(gateway, "three", "no-such").status_code == 404
    assert ask(gateway, "three", stream="yes").status_code == 400
    assert_all_three_are_free(gateway)


@pytest.mark.parametrize("model", ["silent", "slow"])
def test_a_place_is_free_after_a_client_has_hung_up(gateway: Gateway, model: str) -> None:
    """Before the first byte of the answer, or within it."""
    for _ in range(3):
        with ExitStack() as connections:
            for _ in range(3):
                connection = connections.enter_context(closing(begin(gateway, "three", model)))
                if model == "slow":
                    assert connection.getresponse().read(20)
            until(lambda: under_way(gateway, "three") == 3, "three are under way")
            assert ask(gateway, "three").status_code == 429
        until(lambda: under_way(gateway, "three") == 0, "none is under way")
    assert_all_three_are_free(gateway)


def test_the_last_fifth_of_the_places_is_kept_for_tenants_of_high_priority(gateway: Gateway) -> None:
    with Held(gateway) as held:
        assert held.more("normal", OF_NORMAL + 1) == [200] * OF_NORMAL + [503]
        assert held.more("high", TOTAL - OF_NORMAL + 1) == [200] * (TOTAL - OF_NORMAL) + [503]
        refused = ask(gateway, "high")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "overloaded"
    until(lambda: not under_way(gateway), "nothing is under way")
    assert ask(gateway, "normal").status_code == 200


def test_what_is_under_way_counts_on_when_the_listener_is_replaced(gateway: Gateway) -> None:
    with Held(gateway) as held:
        assert held.more("three", 2) == [200, 200]
        stack = copy.deepcopy(STACK)
        stack["corral:engine"]["bodyLimit"] = "2Mi"
        gateway.move(stack)
        assert held.more("three", 2) == [200, 429]
        assert under_way(gateway, "three") == 3
    assert_all_three_are_free(gateway)


def test_requests_of_a_minute_are_counted_down_and_then_refused(gateway: Gateway) -> None:
    answers = [ask(gateway, "requests") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"5"}
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
    assert ask(gateway, "normal").status_code == 200


def test_requests_of_a_minute_can_be_those_for_one_model(gateway: Gateway) -> None:
    assert [ask(gateway, "model", "slow").status_code for _ in range(3)] == [200, 200, 429]
    assert ask(gateway, "model").status_code == 200


def remaining(gateway: Gateway, tenant: str) -> int:
    """Tokens that the tenant had left before this request."""
    return int(ask(gateway, tenant, words=1, max_tokens=1).headers["x-ratelimit-remaining-tokens"])


def test_tokens_of_a_minute_are_counted_and_then_refused(gateway: Gateway) -> None:
    used, answer = 0, ask(gateway, "tokens", words=100)
    while answer.status_code == 200:
        used += answer.json()["usage"]["total_tokens"]
        answer = ask(gateway, "tokens", words=100)
    assert answer.status_code == 429
    assert used >= TENANTS["tokens"]["tokensPerMinute"]
    assert answer.headers["x-ratelimit-limit-tokens"] == "600"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "0"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["type"] == "tokens"
    assert ask(gateway, "normal").status_code == 200


def test_tokens_of_a_stream_are_counted_though_the_client_asks_for_no_usage(gateway: Gateway) -> None:
    limit, since = TENANTS["streams"]["tokensPerMinute"], time.monotonic()
    assert '"usage":{' not in ask(gateway, "streams", words=100, stream=True).text
    used = ask(gateway, "normal", words=100).json()["usage"]["total_tokens"]
    left = remaining(gateway, "streams")
    assert limit - used <= left <= limit - used + (time.monotonic() - since) * limit / 60


def test_tokens_of_a_stream_that_the_client_has_left_are_counted(gateway: Gateway) -> None:
    limit, since = TENANTS["leaving"]["tokensPerMinute"], time.monotonic()
    with closing(begin(gateway, "leaving", "slow")) as connection:
        answer, pieces = connection.getresponse(), 0
        while pieces < 30:
            line = answer.readline()
            pieces += b'"content":"' in line and b'"content":""' not in line
    until(lambda: not under_way(gateway), "nothing is under way")
    assert remaining(gateway, "leaving") <= limit - pieces + (time.monotonic() - since) * limit / 60
