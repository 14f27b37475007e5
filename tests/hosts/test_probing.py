import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from corral.hosts.probing import HostError, content, get

KEY = "sk-very-secret"
HEADERS = {"authorization": f"Bearer {KEY}"}
BASE = "https://lab.example/v1"
URL = f"{BASE}/models"
NO_CONNECTION = "no connection to lab.example:443 in time: see whether a firewall drops it, or the host is down"
NO_ANSWER = "it does not answer in time: see whether it is overloaded, or try again later"

Handler = Callable[[httpx.Request], httpx.Response]


def _answers(*steps: int | Exception) -> tuple[Handler, list[httpx.Request]]:
    """A host that does one step per request, and the requests it saw."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        step = steps[len(seen) - 1]
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step, text=f"the key {KEY} is wrong", headers={"location": "https://elsewhere.example"})

    return handler, seen


def _get(handler: Handler) -> httpx.Response:
    with httpx.Client(base_url=BASE, headers=HEADERS, transport=httpx.MockTransport(handler)) as client:
        return get(client, "/models")


def test_a_host_is_asked_with_its_key():
    handler, seen = _answers(200)
    assert _get(handler).status_code == 200
    assert [(request.method, str(request.url), request.headers["authorization"]) for request in seen] == [
        ("GET", URL, f"Bearer {KEY}")
    ]


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 410])
def test_any_other_status_is_for_the_probe_to_judge(status: int):
    handler, seen = _answers(status)
    assert _get(handler).status_code == status
    assert len(seen) == 1


@pytest.mark.parametrize("first", [429, 500, 503, httpx.ConnectError("no"), httpx.ReadTimeout("no")], ids=str)
def test_a_host_that_stumbles_once_is_asked_again(first: int | Exception):
    handler, seen = _answers(first, 200)
    assert _get(handler).status_code == 200
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("steps", "attempts", "outcome", "why"),
    [
        ((401,), 1, "refused", "it refuses the key (HTTP 401): give it a valid one"),
        ((403,), 1, "refused", "it refuses this key, or this network (HTTP 403): check what both may do"),
        ((429, 429), 2, "unknown", "it answers HTTP 429: try again later"),
        ((500, 503), 2, "unknown", "it answers HTTP 503: try again later"),
        ((503, 401), 2, "refused", "it refuses the key (HTTP 401): give it a valid one"),
        ((httpx.ReadTimeout(KEY), httpx.ConnectTimeout(KEY)), 2, "unknown", NO_CONNECTION),
        ((httpx.ConnectTimeout(KEY), httpx.ReadTimeout(KEY)), 2, "unknown", NO_ANSWER),
        ((httpx.ConnectError(KEY), httpx.ConnectError(KEY)), 2, "unknown", "it cannot be reached (ConnectError)"),
        (
            (httpx.ReadError(KEY), httpx.RemoteProtocolError(KEY)),
            2,
            "unknown",
            "it cannot be reached (RemoteProtocolError)",
        ),
    ],
)
def test_a_host_that_does_not_answer_is_given_up(
    steps: tuple[int | Exception, ...], attempts: int, outcome: str, why: str
):
    handler, seen = _answers(*steps)
    with pytest.raises(HostError) as caught:
        _get(handler)
    assert (caught.value.judgement, len(seen)) == ((outcome, why), attempts)


def _fails_with(cause: Exception) -> str:
    """What is told of a connection that fails for this cause, which httpx and httpcore wrap."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(KEY, request=request) from cause

    with pytest.raises(HostError) as caught:
        _get(handler)
    outcome, why = caught.value.judgement
    assert outcome == "unknown"
    return why


def _unverified(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(KEY)
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, KEY),
            "there is no such name as lab.example in DNS: correct the host's `url`, or see whether DNS works here",
        ),
        (
            ConnectionRefusedError(111, KEY),
            (
                "nothing listens at lab.example:443 (connection refused): start the host, or correct the port in its "
                "`url`"
            ),
        ),
        (
            OSError(113, KEY),
            "there is no route to lab.example:443: see whether this machine's network, or a VPN, is up",
        ),
        (
            ssl.SSLCertVerificationError(KEY),
            "its TLS certificate is not trusted: name the file of its CA in the host's `ca`",
        ),
        (_unverified(10), "its TLS certificate has expired: have it renewed"),
        (
            _unverified(62),
            "its TLS certificate is not for lab.example: correct the host's `url`, or have that name certified",
        ),
        (
            ssl.SSLError(1, KEY),
            "it does not speak TLS at lab.example:443: correct the port, or write http:// in the host's `url`",
        ),
        (RuntimeError(KEY), "it cannot be reached (ConnectError)"),
    ],
    ids=["DNS", "refused", "no route", "CA", "expired", "another name", "no TLS", "anything else"],
)
def test_why_a_host_cannot_be_reached_is_told_apart(cause: Exception, why: str):
    assert _fails_with(cause) == why


@contextmanager
def _port(*, listening: bool) -> Iterator[int]:
    """A port of this machine on which nothing listens, or where a connection is taken and never answered."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if listening:
            taken.listen()
        yield taken.getsockname()[1]


def _reached(url: str) -> str:
    """What is told of a host that is not there, over the real network stack."""
    with httpx.Client(base_url=url, timeout=0.3, trust_env=False) as client, pytest.raises(HostError) as caught:
        get(client, "/models")
    return caught.value.judgement[1]


def test_a_closed_port_is_a_refused_connection():
    with _port(listening=False) as port:
        assert _reached(f"http://127.0.0.1:{port}/v1") == (
            f"nothing listens at 127.0.0.1:{port} (connection refused): start the host, or correct the port in its "
            "`url`"
        )


def test_a_name_that_does_not_exist_is_one_that_dns_does_not_know():
    assert _reached("https://corral.invalid/v1") == (
        "there is no such name as corral.invalid in DNS: correct the host's `url`, or see whether DNS works here"
    )


def test_a_host_that_takes_the_connection_and_says_nothing_does_not_answer_in_time():
    with _port(listening=True) as port:
        assert _reached(f"http://127.0.0.1:{port}/v1") == NO_ANSWER


def _response(status: int, text: str) -> httpx.Response:
    return httpx.Response(status, text=text, request=httpx.Request("GET", f"{URL}?serverless"))


def test_the_content_of_an_answer_is_its_json():
    assert content(_response(200, '{"data": []}')) == {"data": []}


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (_response(404, "{}"), "it answers HTTP 404 to /v1/models"),
        (_response(302, "{}"), "it answers HTTP 302 to /v1/models"),
        (_response(200, "<html>"), "it answers /v1/models with something else than a list of models"),
        (_response(200, ""), "it answers /v1/models with something else than a list of models"),
    ],
)
def test_what_has_no_content_is_unknown(response: httpx.Response, why: str):
    with pytest.raises(HostError) as caught:
        content(response)
    assert caught.value.judgement == ("unknown", why)
