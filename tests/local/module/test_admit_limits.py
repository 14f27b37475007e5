"""Who has used up what it may use, and what it is told."""

from __future__ import annotations

import pytest

from corral.plan.callers import Rate
from tests.local.module.asking import KEY, MINUTE, OPEN, asked, context, error, refusal
from tests.local.module.worker import NOW, Worker


def test_requests_are_let_through_until_the_bucket_is_empty() -> None:
    worker, told = Worker(), context(rate=Rate(2))
    under_way = [asked(worker=worker, told=told) for _ in range(3)]
    assert [each.ran.status for each in under_way] == [None, None, 429]
    ran = asked(worker=worker, told=told)
    assert refusal(ran) == (
        429,
        "rate_limit_exceeded",
        "Tenant search has used its 2 requests per minute. Try again in 30.000s.",
    )
    assert (error(ran)["type"], error(ran)["param"]) == ("requests", None)
    assert ran.ran.sent == {
        "content-type": "application/json",
        "retry-after": "30",
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "60.000s",
    }
    assert (ran.known["limit"], ran.known["model"]) == ("requests", "m")
    assert asked(worker=worker, told=told, now=NOW + 29_999).ran.status == 429
    assert asked(worker=worker, told=told, now=NOW + 30_000).ran.status is None


def test_a_request_that_is_refused_for_one_limit_draws_on_no_other() -> None:
    worker, told = Worker(), context(rate=Rate(5), rates={"m": Rate(None, 10)})
    worker.level("tokens\tsearch\tm").value = NOW * 1000 + MINUTE
    ran = asked(worker=worker, told=told)
    assert refusal(ran) == (
        429,
        "rate_limit_exceeded",
        "Tenant search has used its 10 tokens per minute for m. Try again in 6.000s.",
    )
    assert ran.ran.sent["x-ratelimit-remaining-requests"] == "5"
    assert worker.level("requests\tsearch\t").value == 0
    assert asked({"model": "meta/llama:3"}, worker=worker, told=told).ran.status is None


def test_as_many_requests_are_under_way_as_the_tenant_may_have() -> None:
    worker, told = Worker(), context(concurrent=2, rate=Rate(100))
    first, second, third = (asked(worker=worker, told=told) for _ in range(3))
    assert [each.ran.status for each in (first, second, third)] == [None, None, 429]
    assert refusal(third) == (
        429,
        "rate_limit_exceeded",
        "Tenant search has 2 requests under way, the most it may have at once. Try again when one has ended.",
    )
    assert (error(third)["type"], error(third)["param"]) == ("requests", None)
    assert third.ran.sent["retry-after"] == "1"
    assert (third.known["limit"], third.known["model"]) == ("concurrent", "m")
    assert (worker.level("active\tsearch\t").value, worker.gauge) == (2, 2)
    second.stream.end()
    assert (worker.level("active\tsearch\t").value, worker.gauge) == (1, 1)
    assert asked(worker=worker, told=told).ran.status is None
    assert worker.level("requests\tsearch\t").value == NOW * 1000 + 3 * MINUTE // 100


@pytest.mark.parametrize("told", [context(total=2), OPEN.replace("open\t", "open\t2")])
def test_no_more_are_under_way_than_the_gateway_may_have(told: str) -> None:
    worker = Worker()
    first, second, third = (asked(worker=worker, told=told) for _ in range(3))
    assert [each.ran.status for each in (first, second, third)] == [None, None, 503]
    assert error(third)["code"] == "overloaded"
    assert third.ran.sent["retry-after"] == "1"
    first.stream.end()
    assert worker.level("active\t\t").value == 1
    assert [asked(worker=worker, told=told).ran.status, second.ran.status] == [None, None]


def test_what_is_not_limited_is_not_counted() -> None:
    worker = Worker()
    of = asked(worker=worker), asked(worker=worker, told=OPEN)
    assert [each.ran.status for each in of] == [None, None]
    assert (worker.level("active\tsearch\t").value, worker.level("active\t\t").value, worker.gauge) == (0, 0, 0)


def test_what_a_tenant_has_used_and_has_under_way_outlives_an_edit() -> None:
    worker, key = Worker(), "sk-corral-another"
    before = context(concurrent=1, rate=Rate(2))
    after = context(concurrent=1, rate=Rate(2), keys={KEY: "search", key: "search"})
    first = asked(worker=worker, told=before)
    assert refusal(asked(worker=worker, told=after, authorization=f"Bearer {key}"))[:2] == (429, "rate_limit_exceeded")
    first.stream.end()
    last = asked(worker=worker, told=after)
    assert last.ran.status is None
    last.stream.end()
    assert "has used its 2 requests" in refusal(asked(worker=worker, told=before))[2]
