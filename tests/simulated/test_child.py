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
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIConnectionError, OpenAI, RateLimitError

from corral.simulated.child import SimulatedProcess, SimulatedProcessError
from corral.simulated.control import ControlError, SimulatedControl
from corral.simulated.hosts import SimulatedHost, SimulatedModel

Until = Callable[[Callable[[], bool]], None]
BIG, SMALL = "llama-3.3-70b-versatile", "llama-3.1-8b-instant"
HELLO: Any = [{"role": "user", "content": "hello"}]
LONG: Any = [{"role": "user", "content": "word " * 300}]
LAB = SimulatedHost(name="lab", path="", header=None, key=None, models={"Llama 3.3": SimulatedModel()})


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
    child.control.set_fault("groq", "503", seconds=0.2)
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
        child.control.replace_hosts([LAB])
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
    with SimulatedControl(f"http://127.0.0.1:{child.port}", "wrong") as control, pytest.raises(ControlError) as error:
        control.state()
    assert str(error.value) == "the control token is missing or wrong"


def test_hosts_that_are_not_there_say_so():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with SimulatedControl(url, "token") as control, pytest.raises(ControlError, match=f"{url} do not answer"):
            control.state()


def test_its_files_are_its_owners_alone_and_the_ready_file_tells_port_and_process(tmp_path: Path):
    child = SimulatedProcess.start([LAB], tmp_path)
    try:
        assert json.loads((tmp_path / "ready.json").read_text()) == {"port": child.port, "pid": child.process.pid}
        assert (tmp_path / "hosts.json").stat().st_mode & 0o777 == 0o600
        assert httpx.get(f"http://127.0.0.1:{child.port}/lab/models").status_code == 200
    finally:
        child.stop()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_cleanly_when_it_is_told_to_even_with_requests_open(
    tmp_path: Path, until: Until, signum: signal.Signals
):
    child = SimulatedProcess.start([LAB], tmp_path)
    try:
        child.control.set_fault("lab", "hang")
        with socket.create_connection(("127.0.0.1", child.port)) as connection:
            connection.sendall(b"GET /lab/models HTTP/1.1\r\nhost: x\r\n\r\n")
            until(lambda: child.control.state().open == {"lab": 1})
            child.process.send_signal(signum)
            assert child.process.wait(timeout=5) == 0
        assert (tmp_path / "stderr").read_text() == ""
    finally:
        child.stop()


def test_it_ends_when_its_standard_input_does(tmp_path: Path):
    child = SimulatedProcess.start([LAB], tmp_path)
    try:
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(timeout=5) == 0
    finally:
        child.stop()


PARENT = """
import sys, time
from pathlib import Path
from corral.simulated.child import SimulatedProcess
child = SimulatedProcess.start([], Path(sys.argv[1]))
print(child.process.pid, flush=True)
time.sleep(600)
"""


HEIR = """
import os
os.set_inheritable(child.process.stdin.fileno(), True)
os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
"""


def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path: Path, until: Until):
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
        parent.wait()
        until(lambda: not alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells the child of its parent's death on Linux only")
def test_on_linux_it_does_not_outlive_a_parent_whose_pipe_somebody_else_holds(tmp_path: Path, until: Until):
    program = PARENT.replace("print(", f"{HEIR}\nprint(")
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, process_group=0
    ) as parent:
        try:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            until(lambda: not alive(pid))
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not zombie(pid)


def zombie(pid: int) -> bool:
    """Dead, and its new parent has not asked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def test_a_port_that_is_taken_is_said(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SimulatedProcessError) as error:
            SimulatedProcess.start([LAB], tmp_path, port=port)
    assert str(error.value).startswith("the simulated hosts did not start: ")
    assert f"cannot listen on 127.0.0.1:{port}: " in str(error.value)


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "corral.simulated", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, **more)


def test_a_missing_token_and_bad_hosts_are_said_with_status_2(tmp_path: Path):
    hosts = tmp_path / "hosts.json"
    hosts.write_text('[{"name": "lab"}]')
    bare = {name: value for name, value in os.environ.items() if name != "CORRAL_SIMULATED_TOKEN"}
    cases = [
        (bare, "the environment variable CORRAL_SIMULATED_TOKEN must hold the token of the control endpoints"),
        (bare | {"CORRAL_SIMULATED_TOKEN": "t"}, f"{hosts}: 0.path: Field required; 0.header: Field required"),
    ]
    for env, message in cases:
        ended = run("--hosts", str(hosts), env=env)
        assert ended.returncode == 2
        assert message in ended.stderr
        assert "Traceback" not in ended.stderr


def test_it_serves_a_socket_that_it_inherits(tmp_path: Path, until: Until):
    hosts, ready = tmp_path / "hosts.json", tmp_path / "ready.json"
    hosts.write_text("[]")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        fd, port = listening.fileno(), listening.getsockname()[1]
        command = [sys.executable, "-m", "corral.simulated", "--hosts", str(hosts), "--fd", str(fd)]
        with subprocess.Popen(
            [*command, "--ready-file", str(ready)], env=os.environ | {"CORRAL_SIMULATED_TOKEN": "t"}, pass_fds=[fd]
        ) as process:
            try:
                until(lambda: ready.exists() or process.poll() is not None)
                with SimulatedControl(f"http://127.0.0.1:{port}", "t") as control:
                    assert control.state().hosts == {}
            finally:
                process.terminate()
        assert process.returncode == 0
