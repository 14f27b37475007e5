"""What a request holds of its tenant's budget, what it has cost in the end, and who is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from ctypes import byref, c_int64
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.local.budgets import Spent, spent
from tests.local.module.asking import BUDGETED, EJECTION, KEY, Asked, asked, error, host, line, new_file
from tests.local.module.worker import NOW, Worker, text

DOLLAR, MICRO = 10**12, 10**6
"""In millionths of a micro-dollar."""
JSON = {":status": "200", "content-type": "application/json"}
EVENTS = {":status": "200", "content-type": "text/event-stream"}
A = (720_000, 2_000_000, 100_000, 4_000, 1_000)
"""A price: a million tokens of prompt, of answer and of cached prompt; the longest prompt and answer."""
B = (1_000_001, 1_500_000, None, 8_000, 500)
AROUND = 1_024


WORKER = Worker()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return new_file(tmp_path)


def told(file: Path, day: int | None = None, month: int | None = None, *, allows: int = 0, more: str = "") -> str:
    """Hosts `a` and, as a fallback, `b`; limits in micro-dollars."""
    return "\n".join(
        (
            line("budgets", file),
            line("tenant", "search", "eu", None, None, None, None, None, 1),
            line("budget", 1, day, month, allows),
            line("key", sha256(KEY.encode()).hexdigest(), "search"),
            EJECTION,
            host("a"),
            host("b"),
            line("model", "m", 2, "a-hash"),
            line("target", "a", 100, 0, '"m"'),
            line("price", *A),
            line("target", "b", 100, 1, '"m"'),
            line("price", *B),
            *((more,) if more else ()),
        )
    )


def used(file: Path, at: int = NOW) -> int:
    """What is counted of the day, and no less of the month."""
    today = spent(file, BUDGETED, datetime.fromtimestamp(at / 1000, UTC).date())["search"]
    assert today.day <= today.month
    return today.day


PROMPT = {"messages": [{"role": "user", "content": "hi"}]}


def most(prompt: int, answer: int, texts: int = 1) -> int:
    """What that costs at the dearer of both hosts."""
    return max(
        min(prompt, context * texts) * price + min(answer, longest) * output
        for (price, output, _, context, longest) in (A, B)
    )


def many(prompt: int, answers: int, texts: int = 1) -> int:
    """The same of answers that all hosts have room for."""
    return max(min(prompt, price[3] * texts) * price[0] + answers * price[1] for price in (A, B))


BOUNDS: list[tuple[str, dict[str, Any], Callable[[int], int]]] = [
    ("chat/completions", PROMPT | {"max_tokens": 100}, lambda sent: most(sent + AROUND, 100)),
    (
        "chat/completions",
        PROMPT | {"max_tokens": 7, "max_completion_tokens": 100},
        lambda sent: most(sent + AROUND, 100),
    ),
    ("chat/completions", PROMPT | {"max_tokens": 100, "n": 3}, lambda sent: many(sent + AROUND, 300)),
    ("chat/completions", PROMPT, lambda sent: most(sent + AROUND, 1_000)),
    ("chat/completions", PROMPT | {"max_tokens": 0}, lambda sent: most(sent + AROUND, 1_000)),
    ("chat/completions", PROMPT | {"max_tokens": 10**30, "n": 0.5}, lambda sent: most(sent + AROUND, 1_000)),
    ("chat/completions", PROMPT | {"max_tokens": 1, "n": 10**30}, lambda sent: many(sent + AROUND, 10**6)),
    ("chat/completions", {"messages": "x" * 20_000, "max_tokens": 1}, lambda _: most(8_000, 1)),
    ("chat/completions", {"messages": [{"image_url": 1}], "max_tokens": 1}, lambda _: most(8_000, 1)),
    ("chat/completions", PROMPT | {"tools": [{}], "max_tokens": 1}, lambda sent: most(2 * sent + AROUND, 1)),
    ("messages", PROMPT | {"max_tokens": 1}, lambda sent: most(sent + AROUND, 1)),
    (
        "completions",
        {"prompt": ["a", " b,c", "d"], "max_tokens": 10, "best_of": 2},
        lambda sent: many(sent + 3 * AROUND, 10 * 2 * 3, 3),
    ),
    ("completions", {"prompt": [1, 2, 3], "max_tokens": 10}, lambda sent: most(sent + AROUND, 10)),
    ("completions", {"max_tokens": 10}, lambda sent: most(sent + AROUND, 10)),
    ("responses", {"input": "a", "max_output_tokens": 10}, lambda sent: most(sent + AROUND, 10)),
    ("embeddings", {"input": [[1], [2], [3]]}, lambda sent: most(sent + 3 * AROUND, 0, 3)),
    ("rerank", {"query": "a", "documents": ["b"]}, lambda sent: most((sent + AROUND) * 13, 0, 13)),
]


@pytest.mark.parametrize(("path", "body", "want"), BOUNDS)
def test_a_request_holds_the_most_that_it_could_cost_until_it_ends(
    file: Path, path: str, body: dict[str, Any], want: Callable[[int], int]
) -> None:
    more = "\n".join((line("api", "messages"), line("api", "rerank")))
    of = asked({"model": "m", **body}, told=told(file, more=more), path=f"/v1/{path}")
    assert of.ran.status is None
    assert used(file) == want(len(of.sent))
    of.stream.end()
    assert used(file) == 0


def test_only_hosts_that_a_request_may_go_to_count(file: Path) -> None:
    for hosts, price in (("1", A), ("2", B)):
        of = asked({"model": "m", "max_tokens": 1}, told=told(file, more=line("residency", "eu", hosts)))
        assert used(file) == (len(of.sent) + AROUND) * price[0] + price[1]
        of.stream.end()


USAGE = b'{"choices":[],"usage":{"prompt_tokens":50,"completion_tokens":20,"details":{"cached_tokens":10}}}'
SPENT = 40 * A[0] + 10 * 100_000 + 20 * A[1]
PIECE = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
LAST = b"data: " + USAGE + b"\n\ndata: [DONE]\n\n"


def held_at(price: tuple[Any, ...], of: Asked, answer: int = 100) -> int:
    return (len(of.sent) + AROUND) * price[0] + answer * price[1]


def whole(of: Asked, body: bytes) -> None:
    of.stream.attempt(of.ran.body)
    of.stream.attempt_answer(JSON, [body])
    of.stream.answer(JSON, [body])


def streamed(of: Asked, *pieces: bytes) -> None:
    of.stream.attempt(of.ran.body)
    of.stream.attempt_answer(EVENTS, pieces)
    of.stream.answer(EVENTS, pieces)


def refused(of: Asked, *statuses: str) -> None:
    for status in statuses:
        of.stream.attempt(of.ran.body)
        if status == "-":
            of.stream.break_off()
        else:
            of.stream.attempt_answer({":status": status})
    of.stream.answer({":status": statuses[-1].replace("-", "503")})


def second(of: Asked) -> None:
    of.stream.attempt(of.ran.body)
    of.stream.attempt_answer({":status": "503"})
    whole(of, USAGE)


SENT_AND_LEFT = b"downstream_remote_disconnect"
ENDS: list[tuple[str, Callable[[Asked], object], bytes, Callable[[Asked], int]]] = [
    ("a whole answer", lambda of: whole(of, USAGE), b"via_upstream", lambda _: SPENT),
    ("a stream", lambda of: streamed(of, PIECE, LAST), b"via_upstream", lambda _: SPENT),
    ("another host's answer", second, b"via_upstream", lambda _: 50 * B[0] + 20 * B[1]),
    (
        "a stream that is cut off",
        lambda of: streamed(of, PIECE, PIECE),
        b"",
        lambda of: held_at(A, of, 2),
    ),
    (
        "an answer that does not say what it used",
        lambda of: whole(of, b'{"choices":[]}'),
        b"via_upstream",
        lambda of: held_at(A, of, len(b'{"choices":[]}')),
    ),
    ("a refusal of every host", lambda of: refused(of, "503", "429"), b"via_upstream", lambda _: 0),
    ("hosts that are not there", lambda of: refused(of, "503", "-"), b"x{remote_connection_failure|c}", lambda _: 0),
    ("a host that is given up", lambda of: refused(of, "503", "-"), b"response_timeout", lambda of: held_at(B, of)),
    ("a host that refused last", lambda of: refused(of, "-", "503"), b"via_upstream", lambda _: 0),
    ("a client that left before any host was asked", lambda _: None, SENT_AND_LEFT, lambda _: 0),
    ("one that left its host", lambda of: of.stream.attempt(of.ran.body), SENT_AND_LEFT, lambda of: held_at(A, of)),
]


@pytest.mark.parametrize(("do", "details", "want"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS])
def test_at_its_end_it_has_cost_what_its_host_asks_for_and_what_is_not_known_is_the_most(
    file: Path, do: Callable[[Asked], object], details: bytes, want: Callable[[Asked], int]
) -> None:
    of = asked({"model": "m", "max_tokens": 100}, told=told(file))
    do(of)
    of.stream.end(details)
    assert used(file) == want(of)


def refusal(plan: str, **body: Any) -> tuple[Any, ...]:
    of = asked({"model": "m", "max_tokens": 100, **body}, told=plan)
    assert of.known["limit"] == "budget"
    sent = {name: value for name, value in of.ran.sent.items() if name != "content-type"}
    return of.ran.status, error(of), sent


ASKED = (len(json.dumps({"model": "m", "max_tokens": 100})) + AROUND) * B[0] + 100 * B[1]
"""What such a request could cost."""


def test_a_request_that_could_cost_more_than_is_left_is_refused_with_what_is_left_and_until_when(file: Path) -> None:
    message = (
        f"This request could cost $0.00{ASKED // MICRO + 1}, and tenant search has $0.00{ASKED // MICRO} left of its "
        f"$0.00{ASKED // MICRO} of the day, which ends 2026-11-22T00:00:00Z. A request that limits its answer could "
        "cost less."
    )
    want = {"message": message, "type": "insufficient_quota", "code": "insufficient_quota", "param": None}
    left = (datetime(2026, 11, 22, tzinfo=UTC) - datetime.fromtimestamp(NOW / 1000, UTC)) // timedelta(seconds=1) + 1
    assert ASKED % MICRO
    assert refusal(told(file, day=ASKED // MICRO, month=10**12)) == (
        429,
        want,
        {"x-should-retry": "false", "retry-after": str(left)},
    )
    assert used(file) == 0
    status, said, sent = refusal(told(file, day=1, month=1_500_000, more=""), max_tokens=10**6, n=10**4)
    assert (status, sent) == (429, {"x-should-retry": "false"})
    assert "has $1.50 left of its $1.50 of the month, which ends 2026-12-01T00:00:00Z" in said["message"]


def test_the_last_of_the_money_can_be_used_and_no_more_than_that(file: Path) -> None:
    plan = told(file, day=-(-2 * ASKED // MICRO))
    first, next_one = (asked({"model": "m", "max_tokens": 100}, told=plan) for _ in range(2))
    assert refusal(plan)[0] == 429
    whole(first, USAGE)
    first.stream.end(b"via_upstream")
    assert refusal(plan)[0] == 429
    next_one.stream.end()
    assert asked({"model": "m", "max_tokens": 100}, told=plan).ran.status is None


def test_where_it_is_allowed_more_is_spent_and_counted(file: Path) -> None:
    plan, worker = told(file, day=1, allows=1), Worker()
    for times in (1, 2):
        of = asked({"model": "m", "max_tokens": 100}, worker=worker, told=plan)
        whole(of, USAGE)
        of.stream.end(b"via_upstream")
        assert used(file) == times * SPENT


def test_what_costs_nothing_is_let_through_when_nothing_is_left(file: Path) -> None:
    plan = told(file, day=0).replace(line("price", *A), line("price", 0, 0, None, 9, 9))
    assert asked(told="\n".join((plan, line("residency", "eu", "1")))).ran.status is None
    assert asked(told=plan).ran.status == 429


def test_a_day_and_a_month_begin_anew_at_midnight_and_what_had_begun_counts_where_it_began(file: Path) -> None:
    plan, worker = told(file, day=-(-ASKED // MICRO), month=-(-3 * ASKED // MICRO)), Worker()
    moments = [datetime(2026, 11, day, hour, tzinfo=UTC) for day, hour in ((28, 23), (29, 0), (30, 1))]
    under_way: list[Asked] = []
    for moment in (*moments, datetime(2026, 12, 1, tzinfo=UTC)):
        now = int(moment.timestamp() * 1000)
        under_way.append(asked({"model": "m", "max_tokens": 100}, worker=worker, told=plan, now=now))
        assert under_way[-1].ran.status is None
        assert asked({"model": "m", "max_tokens": 100}, worker=worker, told=plan, now=now + 3_599_999).ran.status == 429
    today = spent(file, BUDGETED, date(2026, 12, 1))["search"]
    assert today == Spent(ASKED, ASKED)
    for each in under_way[:3]:
        whole(each, USAGE)
        each.stream.end(b"via_upstream")
    assert spent(file, BUDGETED, date(2026, 12, 1))["search"] == today


def test_a_clock_that_is_set_back_begins_nothing_anew(file: Path) -> None:
    plan, worker = told(file, day=-(-ASKED // MICRO)), Worker()
    statuses = [asked({"model": "m", "max_tokens": 100}, worker=worker, told=plan, now=now) for now in (NOW, 0)]
    assert [of.ran.status for of in statuses] == [None, 429]


def test_what_a_killed_process_has_held_stays_counted(file: Path) -> None:
    plan = told(file, day=-(-2 * ASKED // MICRO))
    killed = asked({"model": "m", "max_tokens": 100}, worker=Worker(), told=plan)
    worker = Worker()
    assert used(file) == ASKED
    another = asked({"model": "m", "max_tokens": 100}, worker=worker, told=plan)
    assert (another.ran.status, used(file)) == (None, 2 * ASKED)
    assert asked({"model": "m", "max_tokens": 100}, worker=worker, told=plan).ran.status == 429
    killed.stream.end()


def test_another_limit_leaves_what_was_spent(file: Path) -> None:
    worker = Worker()
    of = asked({"model": "m", "max_tokens": 100}, worker=worker, told=told(file, day=10**6))
    whole(of, USAGE)
    of.stream.end(b"via_upstream")
    for limit, status in ((SPENT // MICRO, 429), (-(-(SPENT + ASKED) // MICRO), None)):
        assert asked({"model": "m", "max_tokens": 100}, worker=worker, told=told(file, day=limit)).ran.status == status


@given(st.integers(0, 4_000_000_000))
@settings(max_examples=100)
def test_it_knows_which_day_and_which_month_a_moment_is_in(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    with TemporaryDirectory() as folder:
        path = new_file(Path(folder))
        of = asked({"model": "m", "max_tokens": 100}, worker=WORKER, told=told(path), now=seconds * 1000)
        assert (of.ran.status, spent(path, BUDGETED, moment.date())["search"]) == (None, Spent(ASKED, ASKED))


@pytest.mark.parametrize(("threads", "turns", "settles"), [(64, 16, 0), (4, 50_000, 1)])
def test_of_many_threads_at_the_last_dollar_none_overspends(file: Path, threads: int, turns: int, settles: int) -> None:
    """1,024 requests that cost a cent each; and many that could, and cost less."""
    worker, amount, total = Worker(), DOLLAR // 100, c_int64(0)
    plan = worker.plan(told(file, day=150 * 10**6 if settles else 10**6))
    worker.library.fake_time(c_int64(NOW * 1000))
    numbers = (c_int64(each) for each in (threads, turns, amount, settles))
    admitted = worker.library.fake_race(plan, text("search"), *numbers, byref(total))
    limit = 150 * DOLLAR if settles else DOLLAR
    assert used(file) == total.value <= limit
    assert total.value > limit - amount
    assert admitted == 100 or settles


@pytest.mark.parametrize("broken", [b"", b"corral budgets 2", None])
def test_a_file_that_is_none_of_budgets_is_refused_with_its_plan(file: Path, broken: bytes | None) -> None:
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken)
    assert not Worker().hook("per_route_config_new")(text("plan"), text(told(file)))


@pytest.mark.parametrize("wrong", ["0", "4096", "-1", ""])
def test_a_place_that_is_not_in_the_file_is_refused(file: Path, wrong: str) -> None:
    plan = told(file).replace("budget\t1\t", f"budget\t{wrong}\t")
    assert not Worker().hook("per_route_config_new")(text("plan"), text(plan))
