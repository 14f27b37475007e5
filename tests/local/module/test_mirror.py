"""Copies of requests for a candidate, and what is written down of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.local.module.asking import EJECTION, KEY, Asked, asked, host, line, model
from tests.local.module.worker import Stream, Worker

JSON = {":status": "200", "content-type": "application/json"}
EVENTS = {":status": "200", "content-type": "text/event-stream"}
BODY = {"model": "m", "messages": []}


def told(file: Path, percent: int = 100, concurrent: int | None = None, callers: str = "open") -> str:
    return "\n".join(
        (
            callers,
            EJECTION,
            host("a"),
            host("candidate", "candidate.example.com", "/v2", "authorization", "/proc/version"),
            model("m", ("a", 100, 0)),
            line("mirror", "candidate", percent, 0, '"Its/m"', None, concurrent, None, None, file),
        )
    )


class Copied:
    """A request, and its copy."""

    def __init__(
        self, plan: str, body: Mapping[str, Any] = BODY, worker: Worker | None = None, forged: str = ""
    ) -> None:
        self.worker = worker or Worker()
        self.plan = plan
        self.of = asked(body, worker=self.worker, told=plan, x_request_id="an-id", x_corral_mirror=forged or None)
        self.address = self.of.ran.headers.get("x-corral-mirror")

    def copy(self) -> Stream:
        """The stream of the copy, whose attempt has begun."""
        assert self.address
        stream = self.worker.stream(self.plan)
        headers = {":path": "/v1/chat/completions", "x-corral-mirror": self.address}
        self.ran = stream.attempt_of_copy(headers, self.of.sent)
        return stream


def served(of: Asked, headers: Mapping[str, str], pieces: list[bytes]) -> None:
    of.stream.attempt(of.sent)
    of.stream.attempt_answer(headers, pieces)
    of.stream.answer(headers, pieces)
    of.stream.end()


def written(file: Path) -> list[dict[str, Any]]:
    lines = [json.loads(each) for each in file.read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "time" and not key.endswith("_ms")} for each in lines]


def test_a_copy_goes_to_the_candidate_with_its_own_key_path_and_id_and_the_request_to_its_host(tmp_path: Path) -> None:
    copied = Copied(told(tmp_path / "log"))
    assert copied.of.stream.selected() == ("host/a@1", "1host/candidate@1")
    copied.copy()
    assert copied.ran.headers[":path"] == "/v2/chat/completions"
    assert copied.ran.headers[":authority"] == "candidate.example.com"
    assert copied.ran.headers["authorization"].startswith("Linux version")
    assert json.loads(copied.ran.body) == {"model": "Its/m", "messages": []}
    assert copied.ran.headers["content-length"] == str(len(copied.ran.body))
    assert "x-corral-mirror" not in copied.ran.headers
    ran = copied.of.stream.attempt(copied.of.sent)
    assert "x-corral-mirror" not in ran.headers
    assert ran.body == copied.of.sent


def test_so_many_of_a_hundred_requests_are_copied(tmp_path: Path) -> None:
    worker, plan = Worker(), told(tmp_path / "log", percent=5)
    assert 3 <= sum(Copied(plan, worker=worker).address is not None for _ in range(100)) <= 7


ANSWER = b'{"choices":[{"message":{"content":"ok"}}],"usage":{"prompt_tokens":3,"completion_tokens":5}}'
COUNTED = {"id": "an-id", "model": "m", "stream": False, "status": 200, "input_tokens": 3, "output_tokens": 5}


def test_what_became_of_both_is_written_down(tmp_path: Path) -> None:
    copied = Copied(told(tmp_path / "log"))
    copied.copy().attempt_answer(JSON, [ANSWER[:20], ANSWER[20:]])
    served(copied.of, JSON, [ANSWER])
    assert written(tmp_path / "log") == [
        {**COUNTED, "host": "candidate", "copy": True},
        {**COUNTED, "host": "a", "copy": False},
    ]


STREAM = [
    b'data: {"choices":[{"delta":{"content":"ok"}}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}\n\ndata: [DONE]\n\n',
]


@pytest.mark.parametrize(
    ("headers", "pieces", "status"),
    [
        (EVENTS, STREAM, 200),
        (EVENTS, STREAM[:1], 0),
        (EVENTS, [b'data: {"error":{"message":"no"}}\n\n', *STREAM[1:]], 0),
        (JSON, [b'{"error":{"message":"no"}}'], 0),
        (JSON, [b"no JSON"], 0),
        ({":status": "429", "retry-after": "60"}, [], 429),
        ({":status": "503"}, [b"no"], 503),
        (None, [], 0),
    ],
)
def test_how_a_copy_ended_is_written_down_and_leaves_the_candidate_out_of_nothing(
    tmp_path: Path, headers: dict[str, str] | None, pieces: list[bytes], status: int
) -> None:
    copied = Copied(told(tmp_path / "log"), {**BODY, "stream": True})
    for _ in range(6):
        stream = copied.copy()
        if headers is None:
            stream.break_off()
        else:
            stream.attempt_answer(headers, pieces)
        copied = Copied(copied.plan, {**BODY, "stream": True}, copied.worker)
    assert [each["status"] for each in written(tmp_path / "log") if each["copy"]] == [status] * 6
    assert copied.worker.counted() == []


def calls(arguments: str, name: str = "look_up", call: str = "call_1") -> bytes:
    tool = {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
    return json.dumps({"choices": [{"message": {"content": None, "tool_calls": [tool]}}]}).encode()


def compared(file: Path, answer: bytes, **more: Any) -> dict[str, Any]:
    copied = Copied(told(file), {**BODY, **more})
    copied.copy().attempt_answer(JSON, [answer])
    return written(file)[-1]


def test_which_tools_are_called_is_compared_at_temperature_0_whatever_the_blanks_and_ids(tmp_path: Path) -> None:
    tools = [{"type": "function"}]
    answers = [calls('{"a": 1}'), calls('{"a":1}', call="x"), calls('{"a":2}'), calls('{"a":1}', "get"), ANSWER]
    told_of = [compared(tmp_path / "log", each, tools=tools, temperature=0)["calls"] for each in answers]
    first, blanks, *others = told_of
    assert first == blanks
    assert len({first, *others}) == 4
    assert others[-1] == "0" * 16
    assert "calls" not in compared(tmp_path / "log", answers[0], tools=tools)
    assert "calls" not in compared(tmp_path / "log", ANSWER, temperature=0)


@pytest.mark.parametrize(
    ("content", "is_json"),
    [
        ('{"a": "b\\"\\n"}', True),
        (" [1]\n", True),
        ('{"a": 1', False),
        ("Sure: {}", False),
        ("{} or so", False),
        ("", False),
    ],
)
def test_whether_what_is_to_be_json_is_one_is_written_down(tmp_path: Path, content: str, is_json: bool) -> None:
    answer = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
    assert compared(tmp_path / "log", answer, response_format={"type": "json_object"})["json"] is is_json
    assert "json" not in compared(tmp_path / "log", answer)


def test_a_candidate_gets_no_more_copies_than_it_takes_and_its_places_come_back(tmp_path: Path) -> None:
    plan, worker = told(tmp_path / "log", concurrent=2), Worker()
    first, second, third = (Copied(plan, worker=worker) for _ in range(3))
    assert [bool(each.address) for each in (first, second, third)] == [True, True, False]
    first.copy().attempt_answer({":status": "503"})
    assert Copied(plan, worker=worker).address


def test_no_copy_waits_for_a_full_candidate_and_none_is_made_of_a_request_that_waits(tmp_path: Path) -> None:
    plan, worker = told(tmp_path / "log", concurrent=2), Worker()
    waiting = f"{line('overflow', 'a', 9)}\n{line('overflow', 'candidate', 9)}\nmodel"
    plan = plan.replace("model", waiting, 1).replace('target\ta\t100\t0\t"m"', 'target\ta\t100\t0\t"m"\t\t4')
    served = [Copied(plan, worker=worker) for _ in range(4)]
    assert [bool(each.address) for each in served] == [True, True, False, False]
    assert all(each.of.stream.selected() for each in served)
    served[0].copy().attempt_answer({":status": "503"})  # the candidate has a place again
    waits = Copied(plan, worker=worker)
    assert (waits.of.stream.selected(), waits.address) == (None, None)


def test_copies_that_hang_are_a_hundred_at_most(tmp_path: Path) -> None:
    worker, plan = Worker(), told(tmp_path / "log")
    assert sum(bool(each.address) for each in [Copied(plan, worker=worker) for _ in range(120)]) == 100


def test_a_copy_whose_attempt_never_begins_goes_with_its_request(tmp_path: Path) -> None:
    copied = Copied(told(tmp_path / "log", concurrent=1))
    worker, plan, address = copied.worker, copied.plan, copied.address
    assert address
    del copied
    ran = worker.stream(plan).attempt_of_copy({":path": "/", "x-corral-mirror": address}, b"{}")
    assert ran.headers == {":path": "/"}
    assert Copied(plan, worker=worker).address


def test_a_client_cannot_pretend_to_be_a_copy(tmp_path: Path) -> None:
    copied = Copied("\n".join(told(tmp_path / "log").splitlines()[:-1]), forged="7f0000000000")
    assert copied.address is None


def test_the_requests_of_a_tenant_whose_residency_the_candidate_leaves_are_not_copied(tmp_path: Path) -> None:
    tenant = line("tenant", "search", "eu", *[None] * 5, 1)
    callers = "\n".join((tenant, line("key", sha256(KEY.encode()).hexdigest(), "search")))
    plan = told(tmp_path / "log", callers=callers)
    assert Copied(plan).address
    assert Copied("\n".join((plan, line("unmirrored", "eu")))).address is None
