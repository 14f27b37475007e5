"""Requests that wait for a place at a host that is full."""

from __future__ import annotations

from ctypes import byref, c_int64

import pytest

from corral.plan.failover import CONSECUTIVE_FAILURES
from tests.local.module.asking import EJECTION, asked, host, line, model
from tests.local.module.worker import NOW, Stream, Worker, text

JSON = {":status": "200", "content-type": "application/json"}
GOOD = [b'{"choices": []}']
WAIT = 2_000


def told(
    *limits: object,
    at_host: tuple[object, ...] = (),
    wait: int | None = WAIT,
    shares: tuple[int, int] = (100, 0),
    more: str = "",
) -> str:
    """`a` and then `b`; `limits` are of `a` for the model `m`: requests at once, and requests and tokens a minute."""
    a, b = shares
    targets = model("m", ("a", a, 0), ("b", b or 100, 0 if b else 1)).split("\n")
    targets[1] = line(targets[1], None, *limits)
    lines = (
        *(line("open", ""), EJECTION, line(host("a"), *((None, None, *at_host) if at_host else ())), host("b")),
        *([line("overflow", "a", wait)] if wait else []),
        *targets,
    )
    return "\n".join((*lines, *([more] if more else [])))


def sent(worker: Worker, plan: str, now: float = NOW, name: str = "m") -> Stream:
    """A request that was let through, or waits."""
    return asked({"model": name}, worker=worker, told=plan, now=int(now)).stream


def asks(of: Stream) -> str:
    """The host that it asks."""
    of.attempt(b'{"model": "m"}')
    return of.noted_host


def waits(of: Stream) -> bool:
    return of.selected() is None


def answered(of: Stream) -> None:
    of.attempt_answer(JSON, GOOD)


def test_a_place_that_is_free_goes_to_whoever_has_waited_longest_and_never_to_who_comes_then() -> None:
    worker, plan = Worker(), told(2)
    held = [sent(worker, plan) for _ in range(2)]
    assert [asks(each) for each in held] == ["a", "a"]
    first, second = (sent(worker, plan, NOW + number) for number in range(2))
    assert [waits(first), waits(second)] == [True, True]
    worker.tick(NOW + 500)
    assert [first.scheduled(), second.scheduled()] == [False, False]
    held[0].now = NOW + 500
    answered(held[0])
    third = sent(worker, plan, NOW + 501)  # before the first one's thread has seen that it has a place
    assert (waits(first), first.scheduled(), asks(first)) == (True, True, "a")
    fourth = sent(worker, plan, NOW + 501)
    assert (waits(third), asks(fourth)) == (True, "b")  # no more than two may wait for two places
    held[1].break_off()
    assert (second.scheduled(), third.scheduled(), asks(second)) == (True, False, "a")
    assert [each.metadata["wait_ms"] for each in (first, second)] == [500, 500]
    assert "wait_ms" not in fourth.line()


@pytest.mark.parametrize("shares", [(100, 0), (50, 50)])
def test_who_has_waited_in_vain_goes_to_the_next_host_without_a_failed_try(shares: tuple[int, int]) -> None:
    worker, plan = Worker(), told(1, shares=shares)
    held = sent(worker, plan)
    while asks(held) != "a":
        held = sent(worker, plan)
    of = sent(worker, plan)
    while not waits(of):
        assert asks(of) == "b"  # it was drawn for the other one
        of = sent(worker, plan)
    assert worker.series()["corral.waiting.model.m.host.a"] == 1
    worker.counted()
    worker.tick(NOW + WAIT - 1)
    assert not of.scheduled()
    worker.tick(NOW + WAIT)
    assert of.scheduled()
    assert (asks(of), worker.counted()) == ("b", [])
    assert worker.series()["corral.waiting.model.m.host.a"] == 0
    assert of.metadata["wait_ms"] == WAIT


def test_where_there_is_no_other_host_the_full_one_is_asked_after_the_wait() -> None:
    plan = "\n".join(
        (line("open", ""), host("a"), line("overflow", "a", WAIT), line(model("m", ("a", 100, 0)), None, 1))
    )
    worker = Worker()
    held = sent(worker, plan)
    assert asks(held) == "a"
    of = sent(worker, plan)
    assert waits(of)
    worker.tick(NOW + WAIT)
    assert (of.scheduled(), asks(of)) == (True, "a")


@pytest.mark.parametrize("when", ["while it waits", "as it has been given a place"])
def test_a_client_that_leaves_takes_no_place_with_it(when: str) -> None:
    worker, plan = Worker(), told(2)
    held = [sent(worker, plan) for _ in range(2)]
    assert [asks(each) for each in held] == ["a", "a"]
    first, second = sent(worker, plan), sent(worker, plan)
    assert waits(first)
    assert waits(second)
    if when == "while it waits":
        assert first.line(0)["wait_ms"] == 0
        del first
        answered(held[0])
    else:
        answered(held[0])
        del first
    assert (second.scheduled(), asks(second)) == (True, "a")
    answered(held[1])
    answered(second)
    assert [asks(each) for each in (sent(worker, plan), sent(worker, plan))] == ["a", "a"]


def test_requests_wait_for_what_a_minute_gives_back() -> None:
    worker, plan = Worker(), told(None, 60, None)
    full = [sent(worker, plan) for _ in range(60)]
    assert {asks(each) for each in full} == {"a"}
    first, second = sent(worker, plan), sent(worker, plan)
    for now, want in ((999, (False, False)), (1_000, (True, False)), (1_999, (False, False)), (2_000, (False, True))):
        worker.tick(NOW + now)
        assert (first.scheduled(), second.scheduled()) == want
    assert asks(first) == "a"
    assert asks(second) == "b"  # its time was up


def test_a_model_with_a_limit_of_its_own_holds_back_no_other_model() -> None:
    other = line(model("n", ("a", 100, 0), ("b", 100, 1)).replace('a\t100\t0\t"n"', 'a\t100\t0\t"n"\t\t9'))
    worker, plan = Worker(), told(1, at_host=(3,), more=other)
    held = sent(worker, plan)
    assert asks(held) == "a"
    of = sent(worker, plan)
    assert waits(of)
    others = [sent(worker, plan, name="n") for _ in range(2)]
    assert [asks(each) for each in others] == ["a", "a"]
    last = sent(worker, plan, name="n")  # the host has three
    answered(held)
    assert (of.scheduled(), last.scheduled()) == (True, False)
    answered(others[0])
    assert (last.scheduled(), asks(last)) == (True, "a")


@pytest.mark.parametrize("why", ["ejected", "throttled", "removed", "drained"])
def test_a_host_that_is_left_out_or_gone_lets_those_who_wait_go_on(why: str) -> None:
    places = CONSECUTIVE_FAILURES + 2
    worker, plan = Worker(), told(places)
    held = [sent(worker, plan) for _ in range(places)]
    assert {asks(each) for each in held} == {"a"}
    of = [sent(worker, plan) for _ in range(places)]
    assert [waits(each) for each in of] == [True] * places
    at_once = 0
    if why in ("removed", "drained"):
        left = "b" if why == "removed" else "a"  # for another model
        hosts = {host(left), host("b")}
        sent(worker, "\n".join((line("open", ""), *hosts, model("m", ("b", 100, 0)), model("n", (left, 100, 0)))))
    elif why == "throttled":
        held[0].attempt_answer({":status": "429", "retry-after": "9"})
        at_once = places
    else:
        for each in held[:CONSECUTIVE_FAILURES]:
            each.attempt_answer({":status": "503"})
        at_once = CONSECUTIVE_FAILURES  # to the places that were left
    assert [each.scheduled() for each in of] == [True] * at_once + [False] * (places - at_once)
    worker.tick(NOW + 10)
    assert [each.scheduled() for each in of] == [False] * at_once + [True] * (places - at_once)
    if why in ("ejected", "throttled"):
        assert {asks(each) for each in of[-2:]} == {"b"}


def test_a_request_waits_once_and_no_attempt_after_a_failure_does() -> None:
    worker, plan = Worker(), told(1)
    held = sent(worker, plan)
    assert asks(held) == "a"
    of = sent(worker, plan)
    answered(held)
    assert (of.scheduled(), asks(of)) == (True, "a")
    of.attempt_answer({":status": "503"})
    other = sent(worker, plan)
    assert asks(other) == "a"
    assert [asks(of), asks(of)] == ["b", "b"]


def test_an_edit_that_takes_the_wait_away_leaves_the_places_and_those_who_wait() -> None:
    worker, plan = Worker(), told(1)
    held = sent(worker, plan)
    assert asks(held) == "a"
    of = sent(worker, plan)
    edited = told(1, wait=None)
    assert asks(sent(worker, edited)) == "b"
    answered(held)
    assert (of.scheduled(), asks(of)) == (True, "a")


def test_a_plan_that_has_a_host_wait_that_it_does_not_have_is_none() -> None:
    worker = Worker()
    for wrong in (line("overflow", "c", 1), line("overflow", "a", 0), line("overflow", "a")):
        with pytest.raises(AssertionError):
            worker.plan("\n".join((host("a"), wrong)))


def test_among_threads_no_place_is_given_twice_and_none_is_lost() -> None:
    worker = Worker()
    plan = worker.plan(told(3))
    most, waited = c_int64(), c_int64()
    assert worker.library.fake_contend(plan, text("m"), c_int64(8), c_int64(500), byref(most), byref(waited)) > 0
    assert (most.value, waited.value > 0) == (3, True)
    assert worker.level("active at\ta\tm").value == 0
    assert worker.series()["corral.waiting.model.m.host.a"] == 0
