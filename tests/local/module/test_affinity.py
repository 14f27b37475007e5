"""Requests of one session go to the same host, by the shares, and its host is told the session."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import sqrt
from typing import Any

import pytest

from corral.plan.diff import move
from corral.plan.failover import CONSECUTIVE_FAILURES
from tests.local.module.asking import EJECTION, KEY, asked, host, line, model
from tests.local.module.worker import Ran, Worker
from tests.plan.world import LLAMA, build

SESSIONS = 10_000


def told(shares: Mapping[str, int], *more: str, fallback: str = "", header: str = "x-session-id") -> str:
    targets = [*((name, share, 0) for name, share in shares.items()), *([(fallback, 100, 1)] if fallback else [])]
    return "\n".join(
        (
            line("open", ""),
            EJECTION,
            *(host(name) for name, *_ in targets),
            *more,
            model("m", *targets),
            line("affinity", header),
        )
    )


def hosts(worker: Worker, plan: str, sessions: Iterable[int]) -> list[str]:
    """The host that each session is sent to first."""
    selected = (asked(worker=worker, told=plan, x_session_id=f"session-{each}").stream.selected() for each in sessions)
    return [each[0].removeprefix("host/").partition("@")[0] for each in selected if each]


def test_sessions_lie_at_their_hosts_as_the_shares_say_and_stay_there_in_any_process() -> None:
    plan = told({"a": 60, "b": 40})
    lie = hosts(Worker(), plan, range(SESSIONS))
    assert abs(lie.count("a") - 6_000) < 3 * sqrt(SESSIONS * 0.6 * 0.4)
    assert hosts(Worker(), plan, range(200)) == lie[:200]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"bedrock": 60, "azure": 40}, {"bedrock": 50, "azure": 50}),
        ({"bedrock": 60, "azure": 20, "vllm": 20}, {"bedrock": 50, "azure": 30, "vllm": 20}),
    ],
)
def test_a_moved_share_moves_the_sessions_that_a_diff_says_and_with_two_hosts_none_but_the_losers(
    before: dict[str, int], after: dict[str, int]
) -> None:
    worker = Worker()
    lie, moved = (hosts(worker, told(shares), range(SESSIONS // 2)) for shares in (before, after))
    moves = Counter((old, new) for old, new in zip(lie, moved, strict=True) if old != new)
    plans = (build({LLAMA: {"shares": shares, "affinity": "prompt"}}) for shares in (before, after))
    percent = move(*plans).models[0].sessions_moved
    assert percent is not None
    assert abs(moves.total() / len(lie) - percent / 100) < 0.01
    if len(before) == 2:
        assert {*moves} == {("bedrock", "azure")}


def test_the_sessions_of_a_host_that_is_left_out_come_back_to_it_and_those_of_others_stay() -> None:
    worker, plan = Worker(), told({"a": 50, "b": 30, "c": 20}, fallback="d")
    lie = hosts(worker, plan, range(300))
    failing = lie.index("b")
    for _ in range(CONSECUTIVE_FAILURES):
        of = asked(worker=worker, told=plan, x_session_id=f"session-{failing}").stream
        of.attempt(b'{"model": "m"}')
        of.attempt_answer({":status": "503"})
    without = hosts(worker, plan, range(300))
    assert [new for old, new in zip(lie, without, strict=True) if old != "b"] == [old for old in lie if old != "b"]
    assert {new for old, new in zip(lie, without, strict=True) if old == "b"} == {"a", "c"}
    later = asked(worker=worker, told=plan, x_session_id=f"session-{failing}", now=2_000_000_000_000).stream.selected()
    assert later
    assert later[0] == "host/b@1"


def test_a_request_without_the_header_goes_by_the_shares() -> None:
    worker, plan = Worker(), told({"a": 50, "b": 50})
    drawn = [asked(worker=worker, told=plan).stream.selected() for _ in range(100)]
    assert 45 <= sum(each == ("host/a@1", "2") for each in drawn) <= 55


def prompt(*messages: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": role, "content": text} for role, text in messages], **more}


SYSTEM, FIRST = ("system", "You answer in verse."), ("user", "Why is the sky blue?")
ALIKE = [
    prompt(SYSTEM, FIRST),
    prompt(SYSTEM, FIRST, ("assistant", "Because."), ("user", "And at dusk?")),
    prompt(SYSTEM, FIRST, temperature=0, stream=True),
]
OTHERS = [
    prompt(SYSTEM, ("user", "Why is the sea blue?")),
    prompt(("system", "You answer in prose."), FIRST),
    prompt(FIRST),
    prompt(SYSTEM, ("user", [{"type": "text", "text": "Why is the sky blue?"}])),
    prompt(("user", "x" * 70_000 + "y")),
    prompt(("user", "x" * 70_000 + "yy")),
]


def session(body: object, path: str = "/v1/chat/completions") -> str | None:
    """What a host is told of a request's session."""
    plan = told({"a": 100}, line("hint", "a", "x-session-affinity"), header="")
    of = asked(body, told=plan, path=path)
    return of.stream.attempt(of.sent).headers.get("x-session-affinity")


def test_a_prompt_is_its_system_prompt_and_the_first_message_of_the_user() -> None:
    marks = [session(each) for each in (*ALIKE, *OTHERS)]
    assert len({*marks[:3]}) == 1
    assert len({*marks}) == 1 + len(OTHERS)


def test_what_a_prompt_is_goes_by_the_path() -> None:
    responses = [
        {"model": "m", "instructions": "Be brief.", "input": "Hello"},
        {"model": "m", "instructions": "Be kind.", "input": "Hello"},
        {"model": "m", "input": [{"role": "user", "content": "Hello"}]},
        {"model": "m", "input": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]},
    ]
    brief, kind, first, later = (session(each, "/v1/responses") for each in responses)
    assert len({brief, kind, first}) == 3
    assert first == later
    assert session({"model": "m", "prompt": "Once"}, "/v1/completions") is None
    assert session({"model": "m", "input": "Once"}, "/v1/embeddings") is None


@pytest.mark.parametrize(
    "body", [b'{"model":"m","messages":[', b'{"model":"m","messages":[{"role"', b'{"messages":7,"model":"m"}']
)
def test_messages_that_are_none_do_no_harm(body: bytes) -> None:
    assert asked(body, told=told({"a": 100}, header="")).ran.status in (None, 400)


HINTED = told(
    {"a": 100}, line("hint", "a", "x-session-affinity"), line("hint", "b", None, "prompt_cache_key"), fallback="b"
)


def attempts(body: object, x_session_id: str | None = None, own: str | None = None) -> tuple[list[Ran], bytes]:
    of = asked(body, told=HINTED, x_session_id=x_session_id, x_session_affinity=own)
    return [of.stream.attempt(of.sent) for _ in range(2)], of.sent


def test_each_host_is_told_the_session_in_its_own_way_and_no_other_one() -> None:
    (first, second), sent = attempts({"model": "m", "messages": []}, x_session_id="7")
    name = first.headers["x-session-affinity"]
    assert len(name) == 16
    assert first.body == sent
    assert "x-session-affinity" not in second.headers
    assert json.loads(second.body) == {"model": "m", "messages": [], "prompt_cache_key": name}
    assert second.headers["content-length"] == str(len(second.body))


def test_the_word_of_the_client_on_its_session_stands() -> None:
    body = {"model": "m", "messages": [], "prompt_cache_key": "mine"}
    (first, second), sent = attempts(body, x_session_id="7", own="own")
    assert [ran.headers["x-session-affinity"] for ran in (first, second)] == ["own", "own"]
    assert second.body == sent
    (first, second), sent = attempts({"model": "m", "messages": []})
    assert "x-session-affinity" not in first.headers
    assert second.body == sent


def test_sessions_of_one_name_are_each_tenants_own() -> None:
    names = set[str]()
    for tenant in ("search", "support"):
        caller = (line("tenant", tenant, *[None] * 6, 1), line("key", sha256(KEY.encode()).hexdigest(), tenant))
        _, *rest = HINTED.splitlines()
        of = asked(told="\n".join((*caller, *rest)), x_session_id="7")
        names.add(of.stream.attempt(of.sent).headers["x-session-affinity"])
    assert len(names) == 2
