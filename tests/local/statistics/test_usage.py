"""Adding up: nothing lost, nothing unknown taken for nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from corral.local.statistics.cost import Tariff, Tariffs
from corral.local.statistics.request_log import Request
from corral.local.statistics.usage import DIMENSIONS, Sums, add_up, total
from corral.plan.plan import Price

AT = datetime(2026, 11, 21, 14, tzinfo=UTC)
REQUEST = Request(AT, 200, "search", "m", "bedrock", 10, 20, estimated=False)
PRICED = Tariffs([Tariff(AT - timedelta(days=1), {"m": {"bedrock": Price(720_000, 1_000_000, "stack")}})])
"""10 tokens of prompt and 20 of an answer cost 27.2 micro-dollars."""


def test_half_an_answer_is_a_server_error_that_costs_what_it_took() -> None:
    broken = replace(REQUEST, flags="UC", estimated=True)
    failed = replace(REQUEST, failure="error")
    assert add_up([broken, failed, replace(REQUEST, flags="DC")], (), PRICED) == {
        (): Sums(3, 2, 0, 30, 60, 20, millionths=3 * (10 * 720_000 + 20 * 1_000_000))
    }


def test_cached_tokens_cost_what_they_cost_and_thoughts_what_answers_do() -> None:
    kept = Tariffs([Tariff(AT, {"m": {"bedrock": Price(720_000, 1_000_000, "stack", cached_input=70_000)}})])
    request = replace(REQUEST, cached_tokens=8, reasoning_tokens=15)
    for tariffs, prompt in ((PRICED, 10 * 720_000), (kept, 2 * 720_000 + 8 * 70_000)):
        want = Sums(1, 0, 0, 10, 20, millionths=prompt + 20_000_000, cached_tokens=8, reasoning_tokens=15)
        assert add_up([request], (), tariffs) == {(): want}


def test_requests_are_added_up_by_what_they_have_in_common() -> None:
    requests = [
        REQUEST,
        replace(REQUEST, output_tokens=5, estimated=True),
        replace(REQUEST, tenant="support"),
        replace(REQUEST, host="lab"),
        Request(AT, 404, "search"),
    ]
    priced = 10 * 720_000 + 20 * 1_000_000
    assert add_up(requests, ("tenant", "host"), PRICED) == {
        ("search", "bedrock"): Sums(2, 0, 0, 20, 25, 5, millionths=2 * priced - 15 * 1_000_000),
        ("search", "lab"): Sums(1, 0, 0, 10, 20, unpriced_tokens=30),
        ("search", None): Sums(1, 0, 1),
        ("support", "bedrock"): Sums(1, 0, 0, 10, 20, millionths=priced),
    }
    assert list(add_up(requests, ("host",), PRICED)) == [("bedrock",), ("lab",), (None,)]


def test_a_cost_is_rounded_once_and_after_adding() -> None:
    sums = total(add_up([REQUEST] * 5, ("tenant",), PRICED))
    assert (sums.micro_dollars, sums.complete) == (136, True)
    assert total(add_up([REQUEST], ("tenant",), PRICED)).micro_dollars == 27


def test_what_nobody_has_a_price_for_is_unknown_and_what_some_have_is_known_in_part() -> None:
    unpriced = replace(REQUEST, host="lab")
    alone = total(add_up([unpriced], ("host",), PRICED))
    assert (alone.micro_dollars, alone.complete, alone.unpriced_tokens) == (None, False, 30)
    both = total(add_up([REQUEST, unpriced], ("host",), PRICED))
    assert (both.micro_dollars, both.complete, both.unpriced_tokens) == (27, False, 30)


def test_a_request_whose_tokens_are_not_told_makes_the_cost_incomplete() -> None:
    untold = replace(REQUEST, input_tokens=None, output_tokens=None)
    sums = total(add_up([REQUEST, untold], ("host",), PRICED))
    assert (sums.micro_dollars, sums.complete, sums.uncounted) == (27, False, 1)
    assert total(add_up([untold], ("host",), PRICED)).micro_dollars is None


def test_what_no_host_has_done_costs_nothing() -> None:
    refused = Request(AT, 429, "search", "m")
    sums = total(add_up([refused], ("host",), Tariffs([])))
    assert (sums.micro_dollars, sums.complete) == (0, True)


def test_a_request_costs_what_was_charged_when_it_began() -> None:
    free = Tariff(AT + timedelta(hours=1), {"m": {"bedrock": Price(0, 0, "stack")}}, frozenset({"bedrock"}))
    tariffs = Tariffs([*map(PRICED.at, [AT]), free])  # type: ignore[list-item]
    moments = (AT - timedelta(days=2), AT, AT + timedelta(hours=2))
    sums = total(add_up([replace(REQUEST, time=moment) for moment in moments], ("host",), tariffs))
    assert (sums.micro_dollars, sums.unpriced_tokens, sums.simulated) == (27, 30, 1)


def test_without_requests_all_is_zero() -> None:
    assert total(add_up([], ("host",), PRICED)) == Sums()
    assert (Sums().micro_dollars, Sums().complete) == (0, True)


NAMES = st.none() | st.sampled_from(["a", "b", "c"])
REQUESTS = st.lists(
    st.builds(
        Request,
        time=st.datetimes(timezones=st.just(UTC)),
        status=st.sampled_from([0, 200, 400, 503]),
        tenant=NAMES,
        model=NAMES,
        host=NAMES,
        input_tokens=st.none() | st.integers(0, 10**12),
        output_tokens=st.none() | st.integers(0, 10**12),
        estimated=st.none() | st.booleans(),
    ),
    max_size=30,
)
TARIFFS = Tariffs([Tariff(AT, {"a": {"b": Price(1, 3, "stack")}, "b": {"a": Price(10**9, 0, "stack")}})])


@given(REQUESTS, st.lists(st.sampled_from(DIMENSIONS), unique=True, min_size=1))
def test_the_total_does_not_depend_on_what_is_added_up_by(requests: list[Request], by: list[str]) -> None:
    whole = total(add_up(requests, by, TARIFFS))  # type: ignore[arg-type]
    assert whole == total(add_up(requests, DIMENSIONS, TARIFFS))
    assert whole.requests == len(requests)
    assert whole.input_tokens == sum(request.input_tokens or 0 for request in requests)
    assert whole.output_tokens == sum(request.output_tokens or 0 for request in requests)
