import ssl
from collections.abc import Callable

import httpx
import pytest

from corral.hosts.probing import HostError, content, get

KEY = "sk-very-secret"
HEADERS = {"authorization": f"Bearer {KEY}"}
URL = "https://lab.example/v1/models"

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


def _get(handler: Handler, url: str = URL) -> httpx.Response:
    with httpx.Client(transport=httpx.MockTransport(handler)) as client:
        return get(client, url, HEADERS)


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
    ("steps", "asked", "outcome", "why"),
    [
        ((401,), 1, "refused", "it refuses the key (HTTP 401): give it a valid one"),
        ((403,), 1, "refused", "it refuses this key, or this network (HTTP 403): check what both may do"),
        ((429, 429), 2, "unknown", "it answers HTTP 429: try again later"),
        ((500, 503), 2, "unknown", "it answers HTTP 503: try again later"),
        ((503, 401), 2, "refused", "it refuses the key (HTTP 401): give it a valid one"),
        ((httpx.ReadTimeout(KEY), httpx.ConnectTimeout(KEY)), 2, "unknown", "it does not answer in time"),
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
    steps: tuple[int | Exception, ...], asked: int, outcome: str, why: str
):
    handler, seen = _answers(*steps)
    with pytest.raises(HostError) as caught:
        _get(handler)
    assert (caught.value.outcome, caught.value.why, len(seen)) == (outcome, why, asked)


def test_a_certificate_that_is_not_trusted_is_said_to_be_that():
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("handshake", request=request) from ssl.SSLCertVerificationError("self-signed")

    with pytest.raises(HostError) as caught:
        _get(handler)
    assert caught.value.why == "its TLS certificate is not trusted: name the file of its CA in the host's `ca`"


def test_a_url_that_is_none_is_unknown():
    with pytest.raises(HostError) as caught:
        _get(_answers(200)[0], "https://[::1/v1/models")
    assert (caught.value.outcome, caught.value.why) == (
        "unknown",
        "its URL is none that can be called: correct it in the stack",
    )


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
    assert (caught.value.outcome, caught.value.why) == ("unknown", why)
