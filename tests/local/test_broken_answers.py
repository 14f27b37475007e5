"""Answers that begin well and are none: another host answers while the client has seen nothing, and what is lost is
counted as lost on every screen."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as classic

from corral.local.state_folder import StateFolder
from tests.local.gateway import PATIENCE, Gateway, chat, serving, until

WHOLE = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "model": "its-own",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hey"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 34,
            "total_tokens": 46,
            "prompt_tokens_details": {"cached_tokens": 10},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
    }
).encode()
SAYS = b'data: {"model":"its-own","choices":[{"index":0,"delta":{"content":"Hey"},"finish_reason":null}]}\n\n'
ENDS = b'data: {"model":"its-own","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"usage":{"prompt_tokens":12,"completion_tokens":34}}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"out of memory","type":"server_error"}}\n\n'

JSON, STREAM = "application/json", "text/event-stream"
HTML = b"<html>This is a login page, not an answer.</html>"
REFUSED = b'{"error":{"message":"no"}}'
CUT = WHOLE[: len(WHOLE) // 2]

ANSWERS: dict[str, tuple[str, bytes, str]] = {
    "reset": (JSON, CUT, "reset"),
    "short": (JSON, CUT, "close"),
    "silent": (JSON, CUT, "wait"),
    "half": (JSON, CUT, "whole"),
    "html": ("text/html", HTML, "whole"),
    "refused": (JSON, REFUSED, "whole"),
    "stream-reset": (STREAM, SAYS, "reset"),
    "stream-short": (STREAM, SAYS, "close"),
    "stream-silent": (STREAM, SAYS, "wait"),
    "stream-unfinished": (STREAM, SAYS, "whole"),
    "stream-empty": (STREAM, b"", "whole"),
    "stream-error": (STREAM, ERROR + DONE, "whole"),
    "stream-late-error": (STREAM, SAYS + ERROR, "whole"),
}
"""By kind what a host answers with 200, and how it goes on: it ends the answer there, or breaks it off."""

THROTTLED = ("throttled", "both-throttled", "first-throttled")

UNBEGUN = ["stream-empty", "stream-error"]
STREAMED = [kind for kind in ANSWERS if kind.startswith("stream-") and kind not in UNBEGUN]
HELD = [kind for kind in ANSWERS if not kind.startswith("stream-")]


class _Host(BaseHTTPRequestHandler):
    """A host that answers as the beginning of its path says."""

    protocol_version = "HTTP/1.1"
    ended = threading.Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = self.path.split("/")[1]
        if kind.startswith("429"):
            return self._answer(429, JSON, REFUSED)
        if kind in ("500", "520"):
            return self._answer(int(kind), JSON, REFUSED)
        if kind == "plain" and "stream_options" in body:
            return self._answer(422, JSON, REFUSED)
        if kind in ANSWERS:
            return self._answer(200, *ANSWERS[kind])
        if body.get("stream"):
            return self._answer(200, STREAM, SAYS + ENDS + USAGE + DONE)
        return self._answer(200, JSON, WHOLE)

    def _answer(self, status: int, kind: str, body: bytes, then: str = "whole") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("x-request-id", "of-the-host")
        if status == 429:
            day = formatdate(time() + PATIENCE, usegmt=True)
            self.send_header("retry-after", day if self.path.startswith("/429-date") else "30")
        if kind == STREAM:
            self.send_header("transfer-encoding", "chunked")
            body = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            body += b"0\r\n\r\n" if then == "whole" else b""
        else:
            self.send_header("content-length", str(len(body) + (0 if then == "whole" else 100)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if then == "wait":
            self.ended.wait(PATIENCE)
        elif then == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if then != "whole":
            self.close_connection = True
            self.connection.close() if then == "reset" else None

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Says nothing on the terminal either."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Host) as host:
        threading.Thread(target=host.serve_forever).start()
        kinds = [*ANSWERS, "plain"]

        def declared(kind: str, *models: str) -> dict[str, Any]:
            url = f"http://127.0.0.1:{host.server_port}/{kind}"
            priced = {
                model: {"id": "its-own", "price": {"input": 1, "output": 2, "cachedInput": 0.5}} for model in models
            }
            return {"kind": "openai", "url": url, "auth": "none", "models": priced}

        stack = {
            "corral:engine": {"idleTimeout": "1s", "pagePort": 0, "ejectionTime": "1h"},
            "corral:hosts": {
                **{kind: declared(kind, kind, f"{kind}-alone") for kind in kinds},
                "good": declared("good", "good", *THROTTLED, *kinds),
                **{f"{code}-{name}": declared(code, code) for code in ("500", "520") for name in "ab"},
                **{f"429-{by}": declared(f"429-{by}", *THROTTLED) for by in ("seconds", "date")},
            },
            "corral:models": {
                "good": {"shares": {"good": 100}},
                "throttled": {"shares": {"429-seconds": 40, "429-date": 40, "good": 20}},
                "first-throttled": {"shares": {"429-date": 100}, "fallback": ["429-seconds", "good"]},
                "both-throttled": {"shares": {"429-seconds": 50, "429-date": 50}, "fallback": ["good"]},
                **{code: {"shares": {f"{code}-a": 50, f"{code}-b": 50}} for code in ("500", "520")},
                **{kind: {"shares": {kind: 100}, "fallback": ["good"]} for kind in kinds},
                **{f"{kind}-alone": {"shares": {kind: 100}} for kind in kinds},
            },
        }
        try:
            with serving(tmp_path_factory.mktemp("broken") / "project", stack) as served:
                yield served
        finally:
            _Host.ended.set()
            host.shutdown()


def streamed(gateway: Gateway, model: str, **more: Any) -> tuple[httpx.Response, bytes, bool]:
    """The answer, what came of it, and whether it came to an end."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, **more}
    came = b""
    with httpx.stream("POST", f"{gateway.url}/chat/completions", json=body, timeout=PATIENCE) as answer:
        try:
            for piece in answer.iter_raw():
                came += piece
        except httpx.RemoteProtocolError:
            return answer, came, False
    return answer, came, True


def line_of(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    """The line of the log with the id of the answer."""
    log = StateFolder.of(gateway.project, gateway.stack).current
    found: dict[str, Any] = until(
        lambda: next(
            (
                line
                for line in map(json.loads, log.read_text().splitlines(keepends=False))
                if line["id"] == answer.headers["x-request-id"]
            ),
            None,
        ),
        "its line is in the log",
    )
    return found


def codes(gateway: Gateway, metric: str, model: str) -> dict[tuple[str, str], int]:
    """By host and code what the metrics have counted of a model."""
    return {
        (sample.labels["host"], sample.labels["code"]): int(sample.value)
        for family in classic(httpx.get(f"{gateway.running.page_url}metrics", timeout=PATIENCE).text)
        for sample in family.samples
        if sample.name == metric and sample.labels["model"] == model and sample.value
    }


def said(gateway: Gateway, part: str, *arguments: str) -> dict[str, Any]:
    """What a verb says of each model in JSON."""
    return {each["model"]: each for each in json.loads(gateway.run(*arguments, "--json").stdout)[part]}


@pytest.mark.parametrize("kind", HELD)
def test_what_is_no_answer_another_host_gives_before_the_client_has_seen_any_of_it(gateway: Gateway, kind: str) -> None:
    answer = chat(gateway.url, kind)
    seen = answer.status_code, answer.headers["x-corral-host"], answer.headers["x-corral-attempts"]
    assert (seen, answer.json()) == ((200, "good", "2"), {**json.loads(WHOLE), "model": kind})
    alone = chat(gateway.url, f"{kind}-alone")
    assert (alone.status_code >= 500, "message" in alone.json()["error"]) == (True, True)
    attempts = codes(gateway, "corral_attempts_total", kind)
    assert attempts.pop(("good", "200")) == 1
    assert {(host, code == "0" or code >= "500") for host, code in attempts} == {(kind, True)}


@pytest.mark.parametrize("kind", UNBEGUN)
def test_a_stream_that_begins_with_an_error_or_not_at_all_another_host_gives(gateway: Gateway, kind: str) -> None:
    answer, came, whole = streamed(gateway, kind)
    assert (answer.status_code, answer.headers["x-corral-host"], answer.headers["x-corral-attempts"]) == (
        200,
        "good",
        "2",
    )
    assert (whole, came.endswith(DONE)) == (True, True)
    alone, came, whole = streamed(gateway, f"{kind}-alone")
    assert (alone.status_code, alone.headers["content-type"], whole) == (502, JSON, True)
    assert json.loads(came)["error"]["message"]
    assert codes(gateway, "corral_attempts_total", kind) == {(kind, "502"): 1, ("good", "200"): 1}


def test_a_stream_that_fails_is_lost_on_every_screen(gateway: Gateway) -> None:
    for kind in STREAMED:
        answer, came, whole = streamed(gateway, kind)
        assert (answer.headers["x-corral-host"], came) == (kind, ANSWERS[kind][1].replace(b"its-own", kind.encode()))
        assert whole == (ANSWERS[kind][2] == "whole")
        line = line_of(gateway, answer)
        assert (line["status"], line["failure"] is not None or line["flags"] != "-") == (200, True), kind
        for metric in ("corral_requests_total", "corral_attempts_total"):
            assert codes(gateway, metric, kind) == {(kind, "0"): 1}
    status, usage = said(gateway, "models", "status"), said(gateway, "rows", "usage", "--by", "model")
    assert {kind: (status[kind]["serverErrors"], usage[kind]["serverErrors"]) for kind in STREAMED} == dict.fromkeys(
        STREAMED, (1, 1)
    )
    assert {kind: status[kind]["hosts"][0]["failedAttempts"] for kind in STREAMED} == dict.fromkeys(STREAMED, 1)


def test_an_answer_is_the_model_s_that_was_asked_for_and_says_whose_it_was(gateway: Gateway) -> None:
    answer = chat(gateway.url, "good")
    assert answer.json()["model"] == "good"
    own = ("x-corral-host", "x-corral-host-model", "x-corral-host-request-id")
    assert [answer.headers[name] for name in own] == ["good", "its-own", "of-the-host"]
    line = line_of(gateway, answer)
    tokens = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
    assert [line[name] for name in tokens] == [12, 10, 34, 30]
    answer, came, whole = streamed(gateway, "good")
    assert (whole, came) == (True, (SAYS + ENDS + DONE).replace(b"its-own", b"good"))
    assert line_of(gateway, answer)["status"] == 200
    answer, came, _ = streamed(gateway, "good", stream_options={"include_usage": True})
    assert came == (SAYS + ENDS + USAGE + DONE).replace(b"its-own", b"good")
    assert line_of(gateway, answer)["status"] == 200
    usage = said(gateway, "rows", "usage", "--by", "model")["good"]
    cost = 3 * (12 + 2 * 34) - 10 * 0.5
    assert (usage["cachedTokens"], usage["reasoningTokens"], usage["costMicroDollars"]) == (10, 30, round(cost))


def test_what_the_gateway_itself_answers_has_the_id_of_its_line_in_the_log(gateway: Gateway) -> None:
    for model, status in (("nobody-s", 404), ("half-alone", 502)):
        answer = chat(gateway.url, model)
        assert (answer.status_code, line_of(gateway, answer)["status"]) == (status, status)
    unknown = httpx.get(f"{gateway.url}/nothing", headers={"x-request-id": "the-client-s"})
    assert line_of(gateway, unknown)["status"] == 404


@pytest.mark.parametrize(("model", "host"), [("plain", "good"), ("plain-alone", "plain")])
def test_a_host_that_refuses_the_gateway_s_own_parameter_costs_no_stream(
    gateway: Gateway, model: str, host: str
) -> None:
    answer, came, _ = streamed(gateway, model)
    assert (answer.status_code, answer.headers["x-corral-host"]) == (200, host)
    assert came == (SAYS + ENDS + DONE).replace(b"its-own", model.encode())
    refused, _, _ = streamed(gateway, "plain-alone", stream_options={"include_usage": True})
    assert (refused.status_code, refused.headers["x-corral-attempts"]) == (422, "1")


def test_a_host_whose_answers_break_off_is_ejected(gateway: Gateway) -> None:
    for kind in ("reset", "half"):
        for _ in range(5):
            assert chat(gateway.url, kind).headers["x-corral-host"] == "good"
        last = chat(gateway.url, kind)
        assert (last.headers["x-corral-host"], last.headers["x-corral-attempts"]) == ("good", "1")


def test_a_request_on_which_every_host_fails_with_500_ejects_nobody(gateway: Gateway) -> None:
    def ejected(model: str) -> int:
        for _ in range(12):
            assert chat(gateway.url, model).status_code == int(model)
        return len(gateway.left_out(model))

    assert (ejected("500"), ejected("520")) == (0, 2)


@pytest.mark.parametrize("model", THROTTLED)
def test_a_host_of_several_that_is_throttled_is_left_out_until_it_says_so(gateway: Gateway, model: str) -> None:
    def attempts() -> str:
        answer = chat(gateway.url, model)
        assert (answer.status_code, answer.headers["x-corral-host"]) == (200, "good")
        return answer.headers["x-corral-attempts"]

    # one request meets each of the two, and all workers know it from then on
    assert sum(int(attempts()) - 1 for _ in range(6)) <= 2
