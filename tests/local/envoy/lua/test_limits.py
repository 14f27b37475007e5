"""The buckets of what a tenant may use."""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.envoy.lua.worker import NOW, Worker

MINUTE = 60_000_000
START = NOW * 1000
"""Microseconds since 1970."""

LIMITS = st.integers(1, 10**9)
PAUSES = st.integers(0, MINUTE // 10).map(lambda pause: pause * 10) | st.just(0) | st.integers(0, 1_000)

FUNCTIONS = ["bucket", "look", "left", "use", "wait", "tell", "buckets", "clock"]
SCRIPTS = Worker(functions=FUNCTIONS)


def told_of(worker: Worker, found: Any) -> dict[str, str]:
    """The headers that tell of buckets."""
    headers: dict[str, str] = {}
    written = worker.lua({})
    written[b"replace"] = lambda _, name, value: headers.update({name.decode(): value.decode()})  # pyright: ignore[reportUnknownLambdaType]
    worker.call("tell", found, written)
    return headers


class Bucket:
    """One bucket, looked at as each request does."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        SCRIPTS.count("tokens.bucket", 0)

    def at(self, now: int) -> Any:
        of = SCRIPTS.call("bucket", SCRIPTS.stats, "tokens", "bucket", self.limit, "")
        SCRIPTS.call("look", of, now)
        return of

    def left(self, now: int) -> int:
        return int(SCRIPTS.call("left", self.at(now)))

    def use(self, amount: int, now: int) -> None:
        SCRIPTS.call("use", self.at(now), amount, now)

    def wait(self, now: int) -> float:
        return SCRIPTS.call("wait", self.at(now))

    def told(self, now: int) -> dict[str, str]:
        return told_of(SCRIPTS, SCRIPTS.lua([self.at(now)]))


def test_time_is_counted_in_microseconds() -> None:
    clock = SCRIPTS.lua({})
    clock[b"timestamp"] = lambda _: NOW  # pyright: ignore[reportUnknownLambdaType]
    assert SCRIPTS.call("clock", clock) == START


def test_a_bucket_that_nobody_drew_on_is_full() -> None:
    assert Bucket(600).told(START) == {
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": "600",
        "x-ratelimit-reset-tokens": "0.000s",
    }


def test_what_was_used_is_missing_and_comes_back_steadily() -> None:
    bucket = Bucket(600)
    bucket.use(150, START)
    assert [bucket.left(START + seconds * 1_000_000) for seconds in (0, 1, 5, 15, 90)] == [450, 460, 500, 600, 600]
    assert bucket.told(START + 1_500_000) == {
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": "465",
        "x-ratelimit-reset-tokens": "13.500s",
    }


@given(LIMITS, st.lists(PAUSES, max_size=60))
def test_never_more_is_let_through_than_a_full_bucket_and_what_flowed_in_since(limit: int, pauses: list[int]) -> None:
    bucket, now, admitted = Bucket(limit), START, list[int]()
    for pause in pauses:
        now += pause
        if bucket.left(now) >= 1:
            bucket.use(1, now)
            admitted.append(now)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            span = admitted[last] - admitted[first]
            # each draw is rounded to a microsecond
            assert (last - first) * (1 - limit / MINUTE / 2) <= limit + span * limit / MINUTE + 1e-6


@given(LIMITS, st.lists(st.tuples(PAUSES, st.integers(1, 10**6)), max_size=30))
def test_what_is_left_is_what_flowed_in_less_what_was_used(limit: int, draws: list[tuple[int, int]]) -> None:
    bucket, now, level, rounding = Bucket(limit), START, float(limit), 0.0
    for pause, amount in draws:
        now += pause
        level = min(limit, level + pause * limit / MINUTE) - amount
        bucket.use(amount, now)
        rounding += limit / MINUTE / 2 + 1e-3
        assert max(0, level) - rounding - 1 <= bucket.left(now) <= max(0, level) + rounding


@given(LIMITS, st.integers(1, 10**8))
def test_what_was_used_beyond_the_bucket_is_paid_back_first(limit: int, debt: int) -> None:
    bucket = Bucket(limit)
    bucket.use(limit + debt, START)
    back = debt * MINUTE // limit
    assert bucket.left(START) == 0
    assert bucket.left(START + back - 2) == 0
    assert bucket.left(START + back + ceil(MINUTE / limit) + 2) >= 1


@given(LIMITS, st.integers(0, 10**8))
def test_after_the_wait_that_is_told_one_more_is_let_through_and_not_before(limit: int, used: int) -> None:
    bucket = Bucket(limit)
    bucket.use(used, START)
    wait, early = bucket.wait(START), 1 + ceil(MINUTE / limit / 1e6)  # it is let through a millionth too early
    assert (wait > 0) or bucket.left(START) >= 1
    assert bucket.left(START + ceil(wait)) >= 1
    if wait > early:
        assert bucket.left(START + int(wait) - early) == 0


@given(LIMITS, st.integers(0, 10**8))
def test_after_the_reset_that_is_told_the_bucket_is_full(limit: int, used: int) -> None:
    bucket = Bucket(limit)
    bucket.use(used, START)
    reset = float(bucket.told(START)["x-ratelimit-reset-tokens"].removesuffix("s"))
    assert bucket.left(START + ceil(reset * 1e6) + 1_000) == limit


@given(LIMITS, st.integers(0, 10**8), st.integers(0, 10**8), PAUSES)
def test_what_is_given_back_is_as_if_it_had_not_been_used(limit: int, used: int, more: int, pause: int) -> None:
    straight, corrected = Bucket(limit), Bucket(limit)
    straight.use(used, START)
    want = straight.left(START + pause)
    SCRIPTS.count("tokens.bucket", 0)
    corrected.use(used + more, START)
    corrected.use(-more, START)
    assert abs(corrected.left(START + pause) - want) <= 1 + limit / MINUTE * 2


def test_giving_back_to_a_full_bucket_leaves_it_full_and_no_fuller() -> None:
    bucket = Bucket(60)
    bucket.use(-1_000, START)
    assert bucket.left(START) == 60
    bucket.use(60, START)
    assert bucket.left(START) == 0


def test_another_limit_keeps_the_part_of_the_bucket_that_is_used() -> None:
    bucket = Bucket(100)
    bucket.use(75, START)
    bucket.limit = 1_000
    assert bucket.left(START) == 250


@pytest.mark.parametrize(
    ("rate", "model_rate", "want"),
    [
        ({}, {}, []),
        ({"requests": 5}, {}, [("requests", "requests.search", "")]),
        (
            {"requests": 5, "tokens": 6},
            {"requests": 7, "tokens": 8},
            [
                ("requests", "requests.search", ""),
                ("requests", "requests.search.meta/llama-3.3_70b", " for meta/llama-3.3:70b"),
                ("tokens", "tokens.search", ""),
                ("tokens", "tokens.search.meta/llama-3.3_70b", " for meta/llama-3.3:70b"),
            ],
        ),
        ({}, {"tokens": 8}, [("tokens", "tokens.search.meta/llama-3.3_70b", " for meta/llama-3.3:70b")]),
    ],
)
def test_a_request_draws_on_its_tenants_buckets_and_on_those_for_its_model(
    rate: dict[str, int], model_rate: dict[str, int], want: list[tuple[str, str, str]]
) -> None:
    worker = Worker(functions=FUNCTIONS)
    found = worker.call("buckets", worker.stats, "search", rate, "meta/llama-3.3:70b", model_rate)
    entries = [found[at] for at in range(1, len(found) + 1)]
    for entry in entries:
        worker.call("use", entry, 1, START)
    assert [(entry[b"what"].decode(), entry[b"where"].decode()) for entry in entries] == [
        (what, where) for what, _, where in want
    ]
    assert set(worker.values) == {name for _, name, _ in want}


@pytest.mark.parametrize(
    ("used", "want"),
    [
        ({}, {"limit-requests": "3", "remaining-requests": "3", "limit-tokens": "100", "remaining-tokens": "100"}),
        (
            {"requests.search": 9, "tokens.search.m": 990},
            {"limit-requests": "10", "remaining-requests": "1", "limit-tokens": "1000", "remaining-tokens": "10"},
        ),
    ],
)
def test_the_headers_tell_of_the_bucket_with_the_least_left(used: dict[str, int], want: dict[str, str]) -> None:
    worker = Worker(functions=FUNCTIONS)
    rates = {"requests": 10, "tokens": 100}, {"requests": 3, "tokens": 1_000}
    limits = {"requests.search": 10, "tokens.search.m": 1_000}
    for name, amount in used.items():
        worker.count(name, START + amount * MINUTE // limits[name])
    found = worker.call("buckets", worker.stats, "search", rates[0], "m", rates[1])
    for at in range(1, 5):
        worker.call("look", found[at], START)
    assert {name: value for name, value in told_of(worker, found).items() if "reset" not in name} == {
        f"x-ratelimit-{name}": value for name, value in want.items()
    }


@given(st.lists(PAUSES, min_size=2, max_size=20), LIMITS)
def test_a_worker_whose_clock_is_behind_takes_nothing_back(pauses: list[int], limit: int) -> None:
    bucket, level = Bucket(limit), list[int]()
    for pause in pauses:
        bucket.use(1, START + pause)
        level.append(SCRIPTS.values["tokens.bucket"])
    assert all(before <= after for before, after in pairwise(level))
