"""Clients that hold on to what they have: slow, silent, many, half gone, or never reading."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.abuse import http2
from tests.abuse.arena import IDLE_TIMEOUT, WILD, Arena
from tests.abuse.wire import ASKED, answers, connect, read_answer, request
from tests.local.gateway import until

ENDLESS = b'{"stream":true,"model":"recorded","messages":[{"role":"user","content":"hello"}]}'


@contextmanager
def connections(port: int, number: int, receive_buffer: int | None = None) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(connect(port, receive_buffer)) for _ in range(number)]


@contextmanager
def room_for(files: int) -> Iterator[None]:
    """This process may open so many files meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, files)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_slow_clients_are_cut_off_and_thousands_that_are_idle_are_not_in_the_way(served: Arena) -> None:
    def open_now() -> int:
        return served.statistic("http.gateway.downstream_cx_active")

    head, body = request(WILD)[: -len(ASKED)], ASKED
    with (
        room_for(5_000),
        served.bounded(mebibytes=150),
        connections(served.port, 100) as slow_with_headers,
        connections(served.port, 20) as slow_with_bodies,
        connections(served.port, 2_500),
    ):
        began = time.monotonic()
        with served.calm_unharmed():
            until(lambda: open_now() >= 2_600, "all are connected")
            for connection in slow_with_headers:
                connection.sendall(head[:40])
            for connection in slow_with_bodies:
                connection.sendall(head)
            for piece in (body[at : at + 3] for at in range(0, len(body), 3)):
                for connection in slow_with_bodies:
                    connection.sendall(piece)
            for connection in slow_with_bodies:
                with connection.makefile("rb") as stream:
                    found = read_answer(stream)
                assert found
                assert found.status == 200
            for connection in slow_with_headers:
                connection.sendall(b"X-Slow: ")
            for connection in slow_with_headers:
                with connection.makefile("rb") as stream:
                    found = read_answer(stream)
                assert found
                assert (found.status, found.code) == (408, "request_timeout")
        assert time.monotonic() - began < 25
    until(lambda: open_now() < 100, "the connections are gone")


def test_a_client_that_never_reads_slows_its_host_and_is_cut_off(served: Arena) -> None:
    number, before = 8, served.host.streamed
    with served.bounded(mebibytes=80), connections(served.port, number, receive_buffer=4_096) as silent:
        for connection in silent:
            connection.sendall(request(WILD, body=ENDLESS))
        until(lambda: len(served.host.streaming) == number, "all streams have begun")
        until(lambda: served.host.waits, "the host is slowed")
        with served.calm_unharmed():
            until(lambda: not served.host.streaming, "no stream goes on", patience=IDLE_TIMEOUT + 20)
        assert (served.host.streamed - before) / number < 64 * 2**20, "most of it waits in the kernel's buffers"
        until(served.idle, "no request is under way")
    ended = until(lambda: [line for line in served.log() if line["stream"]][-number:], "the log")
    assert {(line["tenant"], line["host"], line["status"], line["estimated"]) for line in ended} == {
        ("wild", "lab", 200, True)
    }


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(served: Arena) -> None:
    with connections(served.port, 10, receive_buffer=4_096) as leaving:
        for connection in leaving:
            connection.sendall(request(WILD, body=ENDLESS))
        until(lambda: len(served.host.streaming) == 10, "all streams have begun")
    until(lambda: not served.host.streaming, "the host is told")
    until(served.idle, "no request is under way")


def test_a_client_that_closes_its_half_is_gone(served: Arena) -> None:
    for data in (request(WILD), request(WILD)[:100], request(WILD)[:-10]):
        assert [answer.status for answer in answers(served.port, data, at_once=True)] in ([], [200], [400])
    with connect(served.port) as connection:
        connection.sendall(request(WILD, body=ENDLESS))
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while connection.recv(2**20):
                continue
    until(served.idle, "no request is under way")
    assert not served.host.streaming


def test_requests_sent_ahead_without_reading_are_not_answered_without_end(served: Arena) -> None:
    ahead = b"GET /v1/models HTTP/1.1\r\nHost: g\r\n\r\n" * 1_000
    with served.bounded(mebibytes=50), connect(served.port, receive_buffer=4_096) as connection:
        connection.settimeout(0.5)
        sent = 0
        with suppress(OSError):
            while sent < 2**25:
                connection.sendall(ahead)
                sent += len(ahead)
        assert sent < 2**25


def test_http2_without_asking_is_served_like_any_other(served: Arena) -> None:
    said = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/v1/chat/completions",
        ":authority": "gateway",
        "content-type": "application/json",
        "authorization": f"Bearer {WILD}",
        "x-corral-model": "recorded",
    }
    with connect(served.port) as connection, connection.makefile("rb") as stream:
        connection.sendall(
            http2.PREFACE
            + http2.frame(http2.SETTINGS, 0, 0)
            + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.fields(said))
            + http2.frame(http2.DATA, http2.END_STREAM, 1, ASKED)
        )
        got = b""
        for kind, flags, number, payload in http2.frames(stream):
            got += payload if kind == http2.DATA else b""
            if number == 1 and flags & http2.END_STREAM and kind in {http2.DATA, http2.HEADERS}:
                break
    assert "answers as" in json.loads(got)["choices"][0]["message"]["content"]


def test_http2_headers_without_end_close_the_connection(served: Arena) -> None:
    piece = http2.fields({f"x-{number}": "a" * 100 for number in range(50)})
    with served.bounded(mebibytes=50), connect(served.port) as connection, connection.makefile("rb") as stream:
        connection.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0) + http2.frame(http2.HEADERS, 0, 1, piece))
        with suppress(ConnectionError):
            for _ in range(5_000):
                connection.sendall(http2.frame(http2.CONTINUATION, 0, 1, piece))
        with suppress(ConnectionError):
            assert {kind for kind, *_ in http2.frames(stream)} <= {http2.SETTINGS, http2.GOAWAY, http2.RST_STREAM, 8}


def test_http2_requests_that_are_taken_back_at_once_close_the_connection(served: Arena) -> None:
    said = http2.fields(
        {
            ":method": "POST",
            ":scheme": "http",
            ":path": "/v1/chat/completions",
            ":authority": "gateway",
            "content-type": "application/json",
            "authorization": f"Bearer {WILD}",
        }
    )
    with served.calm_unharmed(), connect(served.port) as connection:
        connection.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0))
        taken_back = (
            http2.frame(http2.HEADERS, http2.END_HEADERS, number, said)
            + http2.frame(http2.RST_STREAM, 0, number, b"\0\0\0\x08")
            for number in range(1, 40_001, 2)
        )
        with pytest.raises(ConnectionError):
            any(connection.sendall(each) for each in taken_back)
    until(served.idle, "no request is under way")
