"""Hosts that fail under load: their requests go elsewhere, and they come back."""

from __future__ import annotations

import copy
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from corral.local.state_folder import StateFolder
from tests.local.gateway import PATIENCE, TWO_HOSTS, Gateway, Load, chat, serving, until

STACK: dict[str, Any] = copy.deepcopy(TWO_HOSTS)
STACK["corral:engine"] |= {"ejectionTime": "1s", "idleTimeout": "1s", "connectTimeout": "1s"}
STACK["corral:hosts"] |= {name: {"models": {"m": f"{name}-m"}} for name in ("together", "coreweave")}
STACK["corral:models"] = {
    "m": {"shares": {"groq": 60, "deepinfra": 40}, "fallback": ["together", "coreweave"]},
    "alone": {"shares": {"groq": 100}},
    "uneven": {"shares": {"groq": 99, "deepinfra": 1}},
    "small": {"shares": {"groq": 100}, "fallback": ["deepinfra"]},
    "patient": {"shares": {"together": 100}, "fallback": ["deepinfra"]},
    "hasty": {"shares": {"coreweave": 100}, "fallback": ["deepinfra"]},
}
STACK["corral:hosts"]["groq"]["limits"] = {"perModel": {"small": {"concurrent": 3}}}
STACK["corral:hosts"]["groq"]["models"]["small"] = "groq-small"
STACK["corral:hosts"]["deepinfra"]["models"]["small"] = "deepinfra-small"
STACK["corral:hosts"]["groq"]["models"] |= {"alone": "groq-alone", "uneven": "groq-uneven"}
STACK["corral:hosts"]["deepinfra"]["models"]["uneven"] = "deepinfra-uneven"
for host, model, places, wait in (("together", "patient", 2, "20s"), ("coreweave", "hasty", 1, "300ms")):
    STACK["corral:hosts"][host] |= {"limits": {"perModel": {model: {"concurrent": places}}}, "overflow": f"wait {wait}"}
    for each in (host, "deepinfra"):
        STACK["corral:hosts"][each]["models"][model] = f"{each}-{model}"
SHARING, FALLBACKS = ("groq", "deepinfra"), ("together", "coreweave")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("failing") / "project", STACK) as gateway:
        yield gateway


@pytest.fixture
def gateway(served: Gateway) -> Iterator[Gateway]:
    """All hosts well, and none left out."""
    heal(served)
    until(lambda: not ejected(served), "nobody is left out")
    yield served
    heal(served)


def heal(gateway: Gateway) -> None:
    with gateway.control() as control:
        for host in (*SHARING, *FALLBACKS):
            control.clear_fault(host)


def ejected(gateway: Gateway) -> bool:
    return bool(gateway.left_out())


def break_(gateway: Gateway, kind: Any, *hosts: str) -> None:
    with gateway.control() as control:
        for host in hosts:
            control.set_fault(host, kind, retry_after=0)  # or a host would be left out beyond its test


FAULTS = ["429", "500", "503", "401", "404", "reset", "hang"]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_failing_host_costs_no_error_and_its_sibling_answers(gateway: Gateway, kind: str) -> None:
    break_(gateway, kind, "groq")
    number = 6 if kind == "hang" else 60
    with Load(gateway.url, clients=2) as load:
        load.more(number)
    assert load.failures == []
    assert load.answered.keys() == {"deepinfra"}


@pytest.mark.parametrize("kind", ["503", "429", "reset"])
def test_when_all_sharing_hosts_fail_the_fallbacks_answer_in_their_order(gateway: Gateway, kind: str) -> None:
    break_(gateway, kind, *SHARING)
    with Load(gateway.url, clients=2) as load:
        load.more(60)
    assert load.failures == []
    assert load.answered.keys() == {"together"}
    break_(gateway, kind, "together")
    with Load(gateway.url, clients=2) as load:
        load.more(60)
    assert load.failures == []
    assert load.answered.keys() == {"coreweave"}


def test_a_failing_host_with_nearly_all_the_traffic_costs_no_error(gateway: Gateway) -> None:
    break_(gateway, "429", "groq")
    answers = [chat(gateway.url, "uneven") for _ in range(60)]
    assert {(answer.status_code, answer.headers["x-corral-host"]) for answer in answers} == {(200, "deepinfra")}


def test_smoke_finds_the_host_for_which_another_one_answers(gateway: Gateway) -> None:
    def outcomes() -> tuple[int, dict[str, str]]:
        ended = gateway.run("smoke", "--json")
        return ended.returncode, {
            each["host"]: each["outcome"] for each in json.loads(ended.stdout) if each["model"] == "m"
        }

    fallbacks = {"together": "unknown", "coreweave": "unknown"}
    assert outcomes() == (0, {"groq": "allowed", "deepinfra": "allowed", **fallbacks})
    break_(gateway, "429", "groq")
    assert outcomes() == (1, {"groq": "refused", "deepinfra": "allowed", **fallbacks})


def test_a_host_that_dies_and_comes_back_under_load_loses_nothing_and_gets_its_share_again(gateway: Gateway) -> None:
    with Load(gateway.url) as load:
        load.more(100)
        break_(gateway, "503", "groq")
        until(lambda: ejected(gateway) or load.failures, "groq is left out")
        load.more(200)
        heal(gateway)

        def shared_again() -> bool:
            before = load.answered.copy()
            load.more(100)
            return (load.answered - before)["groq"] > 40 or bool(load.failures)

        until(shared_again, "groq has its share again")
    assert load.failures == []
    assert "groq is left out of m: it failed five times in a row." in gateway.said()
    until(lambda: "groq is back in m." in gateway.said(), "its return is said")


def test_a_wrong_key_and_a_model_that_is_gone_are_said_loudly(gateway: Gateway) -> None:
    break_(gateway, "401", "groq")
    break_(gateway, "404", "deepinfra")
    for _ in range(5):
        assert chat(gateway.url).headers["x-corral-host"] == "together"
    until(
        lambda: "groq REFUSES OUR KEY for m: HTTP 401 (is the one in GROQ_API_KEY right?)" in gateway.said(),
        "it is said",
    )
    until(lambda: "deepinfra HAS NOT GOT deepinfra-m" in gateway.said(), "it is said")


def test_when_no_host_is_left_the_client_gets_openai_s_error(gateway: Gateway) -> None:
    break_(gateway, "reset", *SHARING, *FALLBACKS)
    with pytest.raises(openai.APIStatusError) as refused:
        gateway.client().chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert refused.value.status_code == 503
    assert refused.value.code == "no_host_left"
    assert "No host is left that can answer for this model" in refused.value.message


def test_the_second_host_that_is_silent_is_the_last_that_is_tried(gateway: Gateway) -> None:
    break_(gateway, "hang", *SHARING, *FALLBACKS)
    answer = chat(gateway.url)
    attempts = answer.headers["x-corral-attempts"]
    assert (answer.status_code, answer.json()["error"]["code"], attempts) == (504, "no_host_left", "2")


def test_hosts_that_were_all_left_out_are_tried_rather_than_nobody(gateway: Gateway) -> None:
    break_(gateway, "503", "groq")
    for _ in range(8):
        assert chat(gateway.url, "alone").status_code == 503
    heal(gateway)
    assert chat(gateway.url, "alone").status_code == 200


def test_a_refusal_of_the_request_itself_is_the_client_s_and_is_not_retried(gateway: Gateway) -> None:
    answer = httpx.post(f"{gateway.url}/chat/completions", json={"model": "m", "messages": "not a list"})
    assert (answer.status_code, answer.headers["x-corral-attempts"]) == (400, "1")


def test_a_stream_is_not_cut_while_tokens_come_however_long_it_takes(gateway: Gateway) -> None:
    with gateway.control() as control:
        control.set_speed("groq", tokens_per_second=4)
    try:
        body = {"model": "alone", "messages": [{"role": "user", "content": "x " * 12}], "stream": True}
        with httpx.stream("POST", f"{gateway.url}/chat/completions", json=body, timeout=60) as slow:
            text = slow.read().decode()
        assert text.rstrip().endswith("data: [DONE]")
    finally:
        with gateway.control() as control:
            control.set_speed("groq")


class _Answers(BaseHTTPRequestHandler):
    """A host that answers with the status that its path begins with, and with headers that are its own affair."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status = int(self.path.split("/")[1])
        self.send_response(status)
        own = {"set-cookie": "a=b", "alt-svc": 'h3=":443"', "access-control-allow-origin": "*", "location": "/else"}
        for name, value in {
            "content-length": "2",
            "content-type": "application/json",
            "retry-after": "30",
            **own,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Says nothing on the terminal either."""


STATUSES = (301, 302, 303, 307, 308, 402, 408, 409, 413, 424, 425, 429, 498, 520, 529)


def test_what_is_a_host_s_trouble_another_host_answers_and_no_redirect_reaches_a_client(project: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as host:
        threading.Thread(target=host.serve_forever).start()
        by_status = {
            f"s{status}": {
                "kind": "openai",
                "url": f"http://127.0.0.1:{host.server_port}/{status}",
                "auth": "none",
                "models": {f"m{status}": "m", f"alone{status}": "m"},
            }
            for status in (200, *STATUSES)
        }
        by_status["s200"]["models"] = {f"m{status}": "m" for status in STATUSES}
        stack = {
            "corral:hosts": by_status,
            "corral:models": {
                **{f"m{status}": {"shares": {f"s{status}": 100}, "fallback": ["s200"]} for status in STATUSES},
                **{f"alone{status}": {"shares": {f"s{status}": 100}} for status in STATUSES},
            },
        }
        try:
            with serving(project, stack) as gateway:
                answers = {status: chat(gateway.url, f"m{status}") for status in STATUSES}
                alone = {status: chat(gateway.url, f"alone{status}") for status in STATUSES}
        finally:
            host.shutdown()
    assert {answer.headers["x-corral-host"] for answer in answers.values()} == {"s200"}
    assert {status: answer.status_code for status, answer in alone.items()} == {
        status: 502 if status < 400 else status for status in STATUSES
    }
    own = {"location", "set-cookie", "alt-svc", "access-control-allow-origin"}
    assert not [answer for answer in (*answers.values(), *alone.values()) if own & answer.headers.keys()]
    assert (alone[429].headers["retry-after"], alone[429].headers["x-corral-attempts"]) == ("30", "1")


class _FallsSilent(BaseHTTPRequestHandler):
    """A host that begins a stream and then says nothing more."""

    ended = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b'data: {"choices": []}\n\n')
        self.wfile.flush()
        self.ended.wait(PATIENCE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Says nothing on the terminal either."""


def test_a_stream_whose_host_falls_silent_is_cut_after_the_idle_timeout(project: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _FallsSilent) as host:
        threading.Thread(target=host.serve_forever).start()
        url = f"http://127.0.0.1:{host.server_port}/v1"
        stack = {
            "corral:engine": {"idleTimeout": "1s"},
            "corral:hosts": {"lab": {"kind": "openai", "url": url, "auth": "none", "models": {"m": "m"}}},
            "corral:models": {"m": {"shares": {"lab": 100}}},
        }
        try:
            with serving(project, stack) as gateway:
                body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
                with httpx.stream("POST", f"{gateway.url}/chat/completions", json=body, timeout=PATIENCE) as silent:
                    chunks = silent.iter_raw()
                    assert next(chunks).startswith(b"data:")
                    with pytest.raises(httpx.RemoteProtocolError):
                        next(chunks)
        finally:
            _FallsSilent.ended.set()
            host.shutdown()


def test_a_stream_that_breaks_off_in_the_middle_is_not_sent_twice(gateway: Gateway) -> None:
    break_(gateway, "reset-mid-stream", *SHARING)
    body = {"model": "m", "messages": [{"role": "user", "content": "x " * 50}], "stream": True}
    with httpx.stream("POST", f"{gateway.url}/chat/completions", json=body, timeout=60) as broken:
        assert broken.headers["x-corral-attempts"] == "1"
        with pytest.raises(httpx.RemoteProtocolError):
            broken.read()


def test_a_client_that_leaves_a_stream_is_no_failure_of_its_host(gateway: Gateway) -> None:
    with gateway.control() as control:
        control.set_speed("groq", tokens_per_second=4)
    try:
        name = "corral.attempts.model.alone.host.groq.code"
        before = gateway.gauges(name)
        body = {"model": "alone", "messages": [{"role": "user", "content": "x " * 12}], "stream": True}
        for _ in range(6):
            with httpx.stream("POST", f"{gateway.url}/chat/completions", json=body, timeout=60) as slow:
                assert next(slow.iter_raw())
        whole = f"{name}.200"
        want = before | {whole: before.get(whole, 0) + 6}
        until(lambda: gateway.gauges(name) == want, "they are counted as answers")
        assert not gateway.left_out("alone")
    finally:
        with gateway.control() as control:
            control.set_speed("groq")


def test_a_host_that_is_full_keeps_its_places_busy_and_the_rest_goes_on_at_once(gateway: Gateway) -> None:
    with gateway.control() as control:
        control.set_speed("groq", tokens_per_second=10)
    body = {"model": "small", "messages": [{"role": "user", "content": "x " * 50}], "stream": True}
    before = gateway.gauges("^corral.attempts.model.small")
    try:
        with ExitStack() as streams:
            opened = [
                streams.enter_context(httpx.stream("POST", f"{gateway.url}/chat/completions", json=body, timeout=60))
                for _ in range(3)
            ]
            assert {each.headers["x-corral-host"] for each in opened} == {"groq"}
            for _ in range(20):
                answer = chat(gateway.url, "small")
                assert (answer.headers["x-corral-host"], answer.headers["x-corral-attempts"]) == ("deepinfra", "1")
            assert all(each.read().decode().rstrip().endswith("data: [DONE]") for each in opened)
    finally:
        with gateway.control() as control:
            control.set_speed("groq")
    assert chat(gateway.url, "small").headers["x-corral-host"] == "groq"
    after = gateway.gauges("^corral.attempts.model.small")
    assert {name: more for name in after if (more := after[name] - before.get(name, 0))} == {
        f"corral.attempts.model.small.host.{host}.code.200": number for host, number in (("groq", 4), ("deepinfra", 20))
    }


def test_a_request_waits_for_a_host_that_is_full_and_goes_on_when_its_time_is_up(gateway: Gateway) -> None:
    def waiting(model: str) -> int:
        return sum(gateway.gauges(rf"^corral\.waiting\.model\.{model}\.").values())

    def asked(model: str) -> ExitStack:
        """A stream that ends when this is closed."""
        body = {"model": model, "messages": [{"role": "user", "content": "x " * 500}], "stream": True}
        held = ExitStack()
        held.enter_context(httpx.stream("POST", f"{gateway.url}/chat/completions", json=body, timeout=60))
        return held

    def logged() -> list[tuple[Any, ...]]:
        log = StateFolder.of(gateway.project, gateway.stack).requests / "current.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return [(each["model"], each["host"], each["status"], each["flags"]) for each in lines if "wait_ms" in each]

    with gateway.control() as control:
        for host in ("together", "coreweave"):
            control.set_speed(host, tokens_per_second=4)
    try:
        with asked("patient"), asked("patient") as held, asked("hasty"), ThreadPoolExecutor(1) as pool:
            with closing(socket.create_connection(("127.0.0.1", httpx.URL(gateway.url).port or 0))) as leaves:
                body = json.dumps({"model": "patient", "messages": []}).encode()
                head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                leaves.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                until(lambda: waiting("patient") == 1, "one waits")
                stays = pool.submit(chat, gateway.url, "patient")
                until(lambda: waiting("patient") == 2, "two wait")
                assert chat(gateway.url, "patient").headers["x-corral-host"] == "deepinfra"  # two may wait for two
            until(lambda: waiting("patient") == 1, "the client that has left waits no more")
            in_vain = chat(gateway.url, "hasty")
            assert (in_vain.headers["x-corral-host"], in_vain.headers["x-corral-attempts"]) == ("deepinfra", "1")
            with gateway.control() as control:
                control.set_speed("together")
            assert not stays.done()
            held.close()
            assert stays.result(PATIENCE).headers["x-corral-host"] == "together"
            with asked("patient"):  # the place of the one that was served
                assert waiting("patient") == 0
    finally:
        with gateway.control() as control:
            for host in ("together", "coreweave"):
                control.set_speed(host)
    want = {
        ("patient", None, 0, "DC"),
        ("patient", "together", 200, "-"),
        ("hasty", "deepinfra", 200, "-"),
    }
    until(lambda: {*logged()} == want, "the log has who has waited")


def test_a_slow_first_byte_is_waited_for_as_long_as_the_idle_timeout_allows(gateway: Gateway) -> None:
    with gateway.control() as control:
        control.set_fault("groq", "slow-first-byte", delay=500)
    assert chat(gateway.url, "alone").status_code == 200


def test_the_fault_command_breaks_a_host_for_a_while(gateway: Gateway) -> None:
    said = gateway.run("fault", "groq", "503", "--for", "1s")
    assert (said.returncode, said.stdout) == (0, "groq: 503 for 1 s\n"), said.stderr
    until(lambda: chat(gateway.url, "alone").status_code == 200, "the fault is over")
    assert gateway.run("fault", "groq", "none").stdout == "groq is well again\n"
    unknown = gateway.run("fault", "groq", "50")
    assert unknown.returncode == 2
    assert "no fault is called '50'" in " ".join(unknown.stderr.split())
    absent = gateway.run("fault", "grok", "503")
    assert absent.returncode == 1
    assert "grok" in absent.stderr


def test_status_shows_failures_and_who_is_ejected(gateway: Gateway) -> None:
    break_(gateway, "503", "groq")
    with Load(gateway.url, clients=2) as load:
        until(lambda: ejected(gateway) or load.failures, "groq is left out")
        models = {each["model"]: each["hosts"] for each in json.loads(gateway.run("status", "--json").stdout)["models"]}
    hosts = {each["host"]: each for each in models["m"]}
    assert hosts["groq"]["failedAttempts"] >= 5
    assert (hosts["groq"]["ejected"], hosts["deepinfra"]["ejected"]) == (True, False)
