"""The buckets of what a tenant may use."""

from __future__ import annotations

from ctypes import Structure, byref, c_int64, c_void_p
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.plan.callers import Rate
from tests.local.module.asking import MINUTE, asked, context
from tests.local.module.worker import NOW, Worker, text

START = NOW * 1000
"""Microseconds since 1970."""

LIMITS = st.integers(1, 10**9)
PAUSES = st.integers(0, MINUTE // 10).map(lambda pause: pause * 10) | st.just(0) | st.integers(0, 1_000)

WORKER = Worker()


class RateOf(Structure):
    """A limit and its level, as the module has them."""

    _fields_ = [("limit", c_int64), ("level", c_void_p)]


for function in (WORKER.library.left_of, WORKER.library.wait_for, WORKER.library.level_of):
    function.restype = c_int64
WORKER.library.level_of.restype = c_void_p


class Bucket:
    """One bucket, looked at as each request does."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        WORKER.level("bucket").value = 0

    @property
    def _rate(self) -> Any:
        return byref(RateOf(self.limit, WORKER.library.level_of(text("bucket"))))

    def left(self, now: int) -> int:
        return WORKER.library.left_of(self._rate, c_int64(now))

    def use(self, amount: int, now: int) -> None:
        WORKER.library.use(self._rate, c_int64(amount), c_int64(now))

    def wait(self, now: int) -> int:
        return WORKER.library.wait_for(self._rate, c_int64(now))


def told_of(worker: Worker, told: str, now: int) -> dict[str, str]:
    """The headers that tell a client of `search` what is left, in an answer at this time (µs)."""
    asking = asked(worker=worker, told=told, now=now // 1000)
    headers = asking.stream.answer({":status": "404"}).headers
    return {name: value for name, value in headers.items() if name.startswith("x-ratelimit")}


def test_what_was_used_is_missing_and_comes_back_steadily() -> None:
    bucket = Bucket(600)
    assert bucket.left(START) == 600
    bucket.use(150, START)
    assert [bucket.left(START + seconds * 1_000_000) for seconds in (0, 1, 5, 15, 90)] == [450, 460, 500, 600, 600]


@pytest.mark.parametrize(
    ("used", "later", "remaining", "reset"),
    [(0, 0, "600", "0.000s"), (150, 0, "450", "15.000s"), (150, 1.5, "465", "13.500s")],
)
def test_a_client_is_told_what_is_left_and_when_all_of_it_is_back(
    used: int, later: float, remaining: str, reset: str
) -> None:
    worker = Worker()
    worker.level("tokens\tsearch\t").value = START + used * MINUTE // 600
    assert told_of(worker, context(rate=Rate(None, 600)), START + int(later * 1_000_000)) == {
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": remaining,
        "x-ratelimit-reset-tokens": reset,
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
    assert bucket.left(START + wait) >= 1
    if wait > early:
        assert bucket.left(START + wait - early - 1) == 0


@given(LIMITS, st.integers(0, 10**8), st.integers(0, 10**8), PAUSES)
def test_what_is_given_back_is_as_if_it_had_not_been_used(limit: int, used: int, more: int, pause: int) -> None:
    straight, corrected = Bucket(limit), Bucket(limit)
    straight.use(used, START)
    want = straight.left(START + pause)
    WORKER.level("bucket").value = 0
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
        (Rate(), None, set()),
        (Rate(5), None, {"requests\tsearch\t"}),
        (
            Rate(5, 6),
            Rate(7, 8),
            {"requests\tsearch\t", "requests\tsearch\tm", "tokens\tsearch\t", "tokens\tsearch\tm"},
        ),
        (Rate(), Rate(None, 8), {"tokens\tsearch\tm"}),
    ],
)
def test_a_request_draws_on_its_tenants_buckets_and_on_those_for_its_model(
    rate: Rate, model_rate: Rate | None, want: set[str]
) -> None:
    worker = Worker()
    told = context(rate=rate, rates={"m": model_rate} if model_rate else {})
    stream = asked(worker=worker, told=told).stream
    whole = b'{"choices":[],"usage":{"prompt_tokens":1}}'
    stream.answer({":status": "200", "content-type": "application/json"}, [whole])
    names = {f"{kind}\tsearch\t{model}" for kind in ("requests", "tokens") for model in ("", "m", "meta/llama:3")}
    assert {name for name in names if worker.level(name).value} == want


@pytest.mark.parametrize(
    ("used", "want"),
    [
        ({}, {"limit-requests": "3", "remaining-requests": "2", "limit-tokens": "100", "remaining-tokens": "100"}),
        (
            {"requests\tsearch\t": (8, 10), "tokens\tsearch\tm": (990, 1_000)},
            {"limit-requests": "10", "remaining-requests": "1", "limit-tokens": "1000", "remaining-tokens": "10"},
        ),
    ],
)
def test_the_headers_tell_of_the_bucket_with_the_least_left(
    used: dict[str, tuple[int, int]], want: dict[str, str]
) -> None:
    worker = Worker()
    for name, (amount, limit) in used.items():
        worker.level(name).value = START + amount * MINUTE // limit
    headers = told_of(worker, context(rate=Rate(10, 100), rates={"m": Rate(3, 1_000)}), START)
    assert {name.removeprefix("x-ratelimit-"): value for name, value in headers.items() if "reset" not in name} == want


@given(st.lists(PAUSES, min_size=2, max_size=20), LIMITS)
def test_a_worker_whose_clock_is_behind_takes_nothing_back(pauses: list[int], limit: int) -> None:
    bucket, level = Bucket(limit), list[int]()
    for pause in pauses:
        bucket.use(1, START + pause)
        level.append(WORKER.level("bucket").value)
    assert all(before <= after for before, after in pairwise(level))
