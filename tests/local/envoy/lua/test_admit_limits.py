"""Who has used up what it may use, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.envoy.lua.asking import MINUTE, asked, context, error, known, refusal
from tests.local.envoy.lua.worker import NOW, Worker


def test_requests_are_let_through_until_the_bucket_is_empty() -> None:
    worker, told = Worker(), context(rate={"requests": 2})
    assert [asked(worker=worker, told=told).status for _ in range(3)] == [None, None, 429]
    ran = asked(worker=worker, told=told)
    assert refusal(ran) == (
        429,
        "rate_limit_exceeded",
        "Tenant search has used its 2 requests per minute. Try again in 30.000s.",
    )
    assert error(ran)["type"] == "requests"
    assert ran.sent == {
        "content-type": "application/json",
        "retry-after": "30",
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "60.000s",
    }
    assert ran.metadata["corral"]["limited"] == {"limit": "requests", "model": "m"}
    assert "at" not in known(ran)
    assert asked(worker=worker, told=told, now=NOW + 29_999).status == 429
    assert asked(worker=worker, told=told, now=NOW + 30_000).status is None


def test_a_request_that_is_refused_for_one_limit_draws_on_no_other() -> None:
    worker, told = Worker(), context(rate={"requests": 5}, rates={"m": {"tokens": 10}})
    worker.count("tokens.search.m", NOW * 1000 + MINUTE)
    ran = asked(worker=worker, told=told)
    assert refusal(ran) == (
        429,
        "rate_limit_exceeded",
        "Tenant search has used its 10 tokens per minute for m. Try again in 6.000s.",
    )
    assert ran.sent["x-ratelimit-remaining-requests"] == "5"
    assert "requests.search" not in worker.values
    assert asked({"model": "meta/llama:3"}, worker=worker, told=told).status is None


def test_as_many_requests_are_under_way_as_the_tenant_may_have() -> None:
    worker, told = Worker(), context(concurrent=2, rate={"requests": 100})
    assert [asked(worker=worker, told=told).status for _ in range(3)] == [None, None, 429]
    ran = asked(worker=worker, told=told)
    assert refusal(ran) == (
        429,
        "rate_limit_exceeded",
        "Tenant search has 2 requests under way, the most it may have at once. Try again when one has ended.",
    )
    assert ran.sent["retry-after"] == "1"
    assert ran.metadata["corral"]["limited"] == {"limit": "concurrent", "model": "m"}
    assert "counted_of_tenant" not in known(ran)
    assert worker.values["active.search"] == 2
    worker.count("active.search", 1)
    ran = asked(worker=worker, told=told)
    assert (ran.status, known(ran)["counted_of_tenant"]) == (None, True)
    assert "counted_of_all" not in known(ran)
    assert worker.values["requests.search"] == NOW * 1000 + 3 * MINUTE // 100


@pytest.mark.parametrize("told", [context(total=2), {"version": "1", "open": {"total": 2}, "model:m": True}])
def test_no_more_are_under_way_than_the_gateway_may_have(told: dict[str, Any]) -> None:
    worker = Worker()
    assert [asked(worker=worker, told=told).status for _ in range(3)] == [None, None, 503]
    ran = asked(worker=worker, told=told)
    assert error(ran)["code"] == "overloaded"
    assert ran.sent["retry-after"] == "1"
    assert "counted_of_all" not in known(ran)
    worker.count("active", 1)
    counted = known(asked(worker=worker, told=told))
    assert counted["counted_of_all"] is True
    assert "counted_of_tenant" not in counted


def test_what_is_not_limited_is_not_counted() -> None:
    worker = Worker()
    assert not [name for name in known(asked(worker=worker)) if name.startswith("counted")]
    assert worker.values == {}
