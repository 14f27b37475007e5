"""The simulated hosts as a real process: what cannot be told without sockets."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from openai import APIConnectionError, OpenAI, RateLimitError

from corral.catalog.catalog import Takes
from corral.simulated.control import ControlError, SimulatedControl
from corral.simulated.hosts import SimulatedHost, to_json
from tests.simulated.process import SimulatedProcess

Until = Callable[[Callable[[], bool]], None]
BIG, SMALL = "llama-3.3-70b-versatile", "llama-3.1-8b-instant"
HELLO: Any = [{"role": "user", "content": "hello"}]
LONG: Any = [{"role": "user", "content": "word " * 300}]
LAB = SimulatedHost(name="lab", path="", header=None, key=None, models={"Llama 3.3": Takes()})


def groq(child: SimulatedProcess) -> OpenAI:
    return OpenAI(base_url=f"http://127.0.0.1:{child.port}/groq/openai/v1", api_key="groq-key", max_retries=0)


def raw(child: SimulatedProcess, **more: Any) -> tuple[bytes, int | None]:
    """The bytes that a plain socket gets for a chat completion, and the error its connection ended with."""
    body = json.dumps({"model": BIG, "messages": HELLO} | more).encode()
    head = f"POST /groq/openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", child.port), timeout=10) as connection:
        connection.sendall(f"{head}authorization: Bearer groq-key\r\nconnection: close\r\n\r\n".encode() + body)
        got = b""
        try:
            while part := connection.recv(65536):
                got += part
        except ConnectionResetError as error:
            return got, error.errno
        return got, None


def test_the_official_client_is_answered_streaming_and_not(child: SimulatedProcess):
    with groq(child) as client:
        whole = client.chat.completions.create(model=BIG, messages=HELLO)
        with client.chat.completions.stream(model=BIG, messages=HELLO) as stream:
            streamed = stream.get_final_completion()
    answer = f"groq (simulated) answers as {BIG}: hello"
    assert [made.choices[0].message.content for made in (whole, streamed)] == [answer, answer]


def test_the_official_client_understands_a_fault(child: SimulatedProcess):
    child.control.set_fault("groq", "429", retry_after=3)
    with groq(child) as client, pytest.raises(RateLimitError) as error:
        client.chat.completions.create(model=BIG, messages=HELLO)
    assert (error.value.code, error.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "3")


def test_a_reset_is_a_real_one_before_the_first_byte(child: SimulatedProcess):
    child.control.set_fault("groq", "reset")
    assert raw(child) == (b"", errno.ECONNRESET)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("speed", [None, 200])
def test_a_reset_mid_stream_comes_after_half_of_the_answer(child: SimulatedProcess, speed: int | None, *, stream: bool):
    child.control.set_speed("groq", tokens_per_second=speed)
    child.control.set_fault("groq", "reset-mid-stream")
    got, error = raw(child, stream=stream)
    assert error == errno.ECONNRESET
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"model":"llama-3.3-70b-versatile"' in got
    assert b"hello" not in got
    assert b"[DONE]" not in got


def test_the_official_client_sees_a_stream_break(child: SimulatedProcess):
    child.control.set_fault("groq", "reset-mid-stream")
    with groq(child) as client:
        stream = client.chat.completions.create(model=BIG, messages=HELLO, stream=True)
        with pytest.raises(APIConnectionError):
            list(stream)


def test_a_hanging_host_takes_the_request_and_never_answers(child: SimulatedProcess, until: Until):
    child.control.set_fault("groq", "hang")
    body = json.dumps({"model": BIG, "messages": HELLO}).encode()
    with socket.create_connection(("127.0.0.1", child.port)) as connection:
        connection.sendall(
            b"POST /groq/openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        until(lambda: child.control.state().open == {"groq": 1})
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
    until(lambda: child.control.state().open == {})


def test_a_fault_ends_by_itself(child: SimulatedProcess, until: Until):
    child.control.set_fault("groq", "503", seconds=1)
    with httpx.Client(base_url=f"http://127.0.0.1:{child.port}/groq/openai/v1") as client:
        client.headers["authorization"] = "Bearer groq-key"
        assert client.get("/models").status_code == 503
        until(lambda: client.get("/models").status_code == 200)
    assert child.control.state().hosts["groq"].faults == ()


def test_a_cleared_fault_is_gone(child: SimulatedProcess):
    child.control.set_fault("groq", "hang", model=SMALL)
    (fault,) = child.control.state().hosts["groq"].faults
    assert (fault.kind, fault.model, fault.seconds_left) == ("hang", SMALL, None)
    child.control.clear_fault("groq")
    assert child.control.state().hosts["groq"].faults == ()


def test_a_stream_that_has_begun_outlives_its_host(child: SimulatedProcess):
    child.control.set_speed("groq", tokens_per_second=1000)
    with groq(child) as client:
        stream = client.chat.completions.create(model=BIG, messages=LONG, stream=True)
        texts = [next(stream).choices[0].delta.content]
        child.serve([LAB])
        assert child.control.state().open == {"groq": 1}
        texts += [chunk.choices[0].delta.content for chunk in stream]
    assert "".join(text or "" for text in texts) == f"groq (simulated) answers as {BIG}: " + " ".join(["word"] * 300)
    assert list(child.control.state().hosts) == ["lab"]


def test_what_a_client_that_leaves_did_not_get_is_not_counted(child: SimulatedProcess, until: Until):
    def sent() -> tuple[int, int]:
        rows = [row for row in child.control.state().counts if (row.model, row.status) == (SMALL, 200)]
        return sum(row.requests for row in rows), sum(row.answer_tokens for row in rows)

    requests, tokens = sent()
    child.control.set_speed("groq", tokens_per_second=20)
    with groq(child) as client:
        stream = client.chat.completions.create(model=SMALL, messages=LONG, stream=True)
        next(stream)
        stream.close()
    until(lambda: child.control.state().open == {})
    assert sent()[0] == requests + 1
    assert 1 <= sent()[1] - tokens < 100


def test_a_command_that_fails_says_why(child: SimulatedProcess):
    with pytest.raises(ControlError, match="no simulated host is named 'grok': there are azure, bedrock, groq, lab"):
        child.control.set_fault("grok", "503")
    with pytest.raises(ControlError, match="latency: Input should be greater than or equal to 0"):
        child.control.set_speed("groq", latency=-1)
    for strange in ("a/b", "?", ""):
        with pytest.raises(ControlError):
            child.control.clear_fault(strange)
    with (
        closing(SimulatedControl(f"http://127.0.0.1:{child.port}", "wrong")) as control,
        pytest.raises(ControlError) as error,
    ):
        control.state()
    assert str(error.value) == "the control token is missing or wrong"


def test_hosts_that_are_not_there_say_so():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with (
            closing(SimulatedControl(url, "token")) as control,
            pytest.raises(ControlError, match=f"{url} do not answer"),
        ):
            control.state()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"[]", None),
        (b'[{"name": "lab"}]', "0.path: Field required; 0.header: Field required"),
        (b"{", "the whole: Invalid JSON"),
    ],
)
def test_it_answers_every_line_and_keeps_its_hosts_where_they_cannot_be_others(
    child: SimulatedProcess, line: bytes, error: str | None
):
    before = child.control.state().hosts
    answer = child.answer(line)
    if error is None:
        assert (answer, child.control.state().hosts) == (None, {})
    else:
        assert (answer or "").startswith(error)
        assert child.control.state().hosts == before


def test_connections_that_come_before_its_hosts_wait_for_them():
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        port = listening.getsockname()[1]
        early = pool.submit(httpx.get, f"http://127.0.0.1:{port}/lab/models", timeout=30)
        with subprocess.Popen(
            [sys.executable, "-m", "corral.simulated", "--fd", str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"CORRAL_SIMULATED_TOKEN": "t"},
            pass_fds=[listening.fileno()],
        ) as process:
            assert process.stdin
            process.stdin.write(to_json([LAB]) + b"\n")
            process.stdin.flush()
            assert early.result().status_code == 200
            process.stdin.close()
        assert process.returncode == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_cleanly_when_it_is_told_to_even_with_requests_open(until: Until, signum: signal.Signals):
    child = SimulatedProcess.start([LAB])
    try:
        child.control.set_fault("lab", "hang")
        with socket.create_connection(("127.0.0.1", child.port)) as connection:
            connection.sendall(b"GET /lab/models HTTP/1.1\r\nhost: x\r\n\r\n")
            until(lambda: child.control.state().open == {"lab": 1})
            child.process.send_signal(signum)
            assert child.process.wait(timeout=5) == 0
        assert child.process.stderr
        assert child.process.stderr.read() == b""
    finally:
        child.stop()


def test_it_ends_when_its_standard_input_does():
    child = SimulatedProcess.start([LAB])
    try:
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(timeout=5) == 0
    finally:
        child.stop()


@pytest.mark.parametrize(
    ("token", "arguments", "message"),
    [
        (None, ["--fd", "0"], "the environment variable CORRAL_SIMULATED_TOKEN must hold the token"),
        ("t", ["--fd", "99"], "file descriptor 99 is no socket: Bad file descriptor"),
        ("t", [], "--fd"),
    ],
)
def test_what_its_parent_must_give_is_asked_for_with_status_2(token: str | None, arguments: list[str], message: str):
    bare = {name: value for name, value in os.environ.items() if name != "CORRAL_SIMULATED_TOKEN"}
    ended = subprocess.run(
        [sys.executable, "-m", "corral.simulated", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=bare | ({"CORRAL_SIMULATED_TOKEN": token} if token else {}),
    )
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
