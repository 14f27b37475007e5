"""Which host is asked next, who is left out, and until when."""

from __future__ import annotations

import re
from collections import Counter
from email.utils import formatdate

import psutil
import pytest

from corral.plan.failover import CONSECUTIVE_FAILURES, EJECTING_STATUS
from tests.local.module.asking import EJECTION, OPEN, asked, context, host, line, model
from tests.local.module.worker import NOW, Stream, Worker, text

JSON = {":status": "200", "content-type": "application/json"}
GOOD = [b'{"choices": []}']
EVENTS = {":status": "200", "content-type": "text/event-stream"}


def told(*targets: tuple[str, int, int]) -> str:
    """Hosts of a model `m`."""
    return "\n".join((line("open", ""), EJECTION, *(host(name) for name, *_ in targets), model("m", *targets)))


def stream(worker: Worker, plan: str, now: float = NOW) -> Stream:
    return asked({"model": "m"}, worker=worker, told=plan, now=int(now)).stream


def next_host(of: Stream) -> str:
    """The host that is asked next."""
    of.attempt(b'{"model": "m"}')
    return of.noted_host


def order(worker: Worker, plan: str, attempts: int, now: float = NOW) -> list[str]:
    """The hosts that are asked one after the other; nothing is known of how they answer."""
    of = stream(worker, plan, now)
    return [next_host(of) for _ in range(attempts)]


def ended(worker: Worker, plan: str, status: str, now: float = NOW, wanted: str = "") -> str:
    """One request whose first host answers with this status; the host, or another one before it was the wanted."""
    of = stream(worker, plan, now)
    name = next_host(of)
    while wanted and name != wanted:
        of.attempt_answer(JSON, GOOD)
        of = stream(worker, plan, now)
        name = next_host(of)
    if status == "200":
        of.attempt_answer(JSON, GOOD)
    elif status == "-":
        of.break_off()
    else:
        of.attempt_answer({":status": status})
    return name


def test_of_each_hundred_requests_a_host_gets_its_share() -> None:
    worker, plan = Worker(), told(("a", 60, 0), ("b", 39, 0), ("c", 1, 0))
    for _ in range(20):
        drawn = Counter(order(worker, plan, 1)[0] for _ in range(100))
        assert {name: abs(drawn[name] - share) <= 3 for name, share in (("a", 60), ("b", 39), ("c", 1))} == {
            "a": True,
            "b": True,
            "c": True,
        }


def test_an_attempt_goes_to_a_sharing_host_that_was_not_tried_and_then_to_the_fallbacks_in_order() -> None:
    worker, plan = Worker(), told(("a", 98, 0), ("b", 1, 0), ("c", 1, 0), ("d", 100, 1), ("e", 100, 2))
    for _ in range(50):
        tried = order(worker, plan, 5)
        assert (sorted(tried[:3]), tried[3:]) == (["a", "b", "c"], ["d", "e"])
    assert order(worker, told(("a", 100, 0)), 2) == ["a", "a"]


def test_how_often_a_request_may_be_tried_goes_by_the_hosts_that_it_can_go_to() -> None:
    lacks = "\n".join((told(("a", 60, 0), ("b", 40, 0), ("c", 100, 1)), line("lack", "seed", 1, "seed")))
    worker = Worker()
    for body, want in (({"model": "m"}, "3"), ({"model": "m", "seed": 1}, "2")):
        selected = asked(body, worker=worker, told=lacks).stream.selected()
        assert selected
        assert selected[1] == want


def test_asking_twice_for_the_same_attempt_changes_nothing() -> None:
    of = stream(Worker(), told(("a", 50, 0), ("b", 50, 0)))
    assert len({of.selected() for _ in range(10)}) == 1


PAIR = told(("a", 100, 0), ("b", 100, 1))


@pytest.mark.parametrize("status", ["503", "-"])
def test_a_host_that_fails_five_times_in_a_row_is_left_out_and_longer_each_time(status: str) -> None:
    worker, now = Worker(), NOW
    for span in (10_000, 20_000, 30_000):
        for _ in range(CONSECUTIVE_FAILURES):
            assert ended(worker, PAIR, status, now) == "a"
        assert worker.counted()[-1] == f"m a {now + span}"
        assert [order(worker, PAIR, 1, now + after)[0] for after in (0, span - 1, span)] == ["b", "b", "a"]
        now += span
    later = now + 2_500  # two of the three are forgotten by then
    for _ in range(CONSECUTIVE_FAILURES):
        ended(worker, PAIR, status, later)
    assert worker.counted()[-1] == f"m a {later + 20_000}"


def test_a_good_answer_in_between_begins_the_count_anew() -> None:
    worker = Worker()
    for status in ("503", "503", "503", "503", "200", "503", "503", "503", "503", "400", "503"):
        assert ended(worker, PAIR, status) == "a"
    assert order(worker, PAIR, 1) == ["a"]


def test_the_statuses_that_count_are_those_that_the_plan_names() -> None:
    for status in (*range(400, 600), 999):
        worker = Worker()
        for _ in range(CONSECUTIVE_FAILURES):
            ended(worker, PAIR, str(status))
        out = order(worker, PAIR, 1) == ["b"]
        assert out == bool(re.fullmatch(EJECTING_STATUS, str(status))), status


def test_who_is_left_out_of_one_model_is_asked_for_another() -> None:
    worker = Worker()
    both = "\n".join((PAIR, model("n", ("a", 100, 0), ("b", 100, 1))))
    for _ in range(CONSECUTIVE_FAILURES):
        ended(worker, both, "503")
    assert asked({"model": "n"}, worker=worker, told=both).stream.selected() == ("host/a@1", "2")
    assert order(worker, both, 2) == ["b", "a"]


def test_where_all_are_left_out_they_are_tried_all_the_same() -> None:
    worker = Worker()
    for wanted in ("a", "b"):
        for _ in range(CONSECUTIVE_FAILURES):
            ended(worker, PAIR, "503", wanted="" if wanted == "a" else "b")
    assert order(worker, PAIR, 2) == ["a", "b"]


def test_who_is_left_out_stays_so_over_an_edit_but_not_under_another_address() -> None:
    worker = Worker()
    for _ in range(CONSECUTIVE_FAILURES):
        ended(worker, PAIR, "503")
    assert order(worker, told(("a", 50, 0), ("b", 100, 1)), 1) == ["b"]
    moved = PAIR.replace("host/a@1", "host/a@2")
    assert order(worker, moved, 1) == ["a"]


@pytest.mark.parametrize(
    ("last", "code", "out"),
    [
        (b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', "200", False),
        (b'data: {"error":{"message":"no"}}\n\n', "0", True),
        (b'data: {"choices":[{"delta":{}}]}\n\n', "0", True),
        (None, "0", True),
    ],
    ids=["whole", "an error", "no end", "broken off"],
)
def test_a_stream_is_judged_by_its_end(last: bytes | None, code: str, out: bool) -> None:
    worker = Worker()
    for _ in range(CONSECUTIVE_FAILURES):
        of = stream(worker, PAIR)
        assert next_host(of) == "a"
        first = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
        if last is None:
            of.attempt_began(EVENTS, first)
            of.end(b"upstream_reset_after_response_started{connection_termination}")
        else:
            of.attempt_answer(EVENTS, [first, last])
            of.answer(EVENTS, [first, last])
    counted = worker.counted()
    assert counted[:CONSECUTIVE_FAILURES] == [f"m a {code} 1"] * CONSECUTIVE_FAILURES
    assert order(worker, PAIR, 1) == ["b" if out else "a"]


def test_a_client_that_leaves_is_no_failure_of_its_host() -> None:
    worker = Worker()
    for _ in range(2 * CONSECUTIVE_FAILURES):
        of = stream(worker, PAIR)
        assert next_host(of) == "a"
        of.end()
    assert worker.counted() == ["m a 0 1"] * 2 * CONSECUTIVE_FAILURES
    assert order(worker, PAIR, 1) == ["a"]


def test_a_host_of_which_no_address_is_known_is_passed_over_and_counted() -> None:
    worker = Worker()
    worker.unresolved("host/a@1")
    for _ in range(CONSECUTIVE_FAILURES):
        assert order(worker, PAIR, 1) == ["b"]
    assert [each for each in worker.counted() if " a " in each] == [
        *["m a 0 1"] * CONSECUTIVE_FAILURES,
        f"m a {NOW + 10_000}",
    ]
    assert stream(worker, told(("a", 100, 0))).selected() == ("host/a@1", "1")  # and Envoy says that there is nobody


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("30", 30),
        ("86400", 3600),
        (formatdate(NOW // 1000 + 9, usegmt=True), 9 - NOW % 1000 / 1000),
        (formatdate(NOW // 1000 - 9, usegmt=True), None),
        ("0", None),
        ("soon", None),
        (None, None),
    ],
)
def test_a_host_that_is_throttled_is_left_out_until_its_time_is_over(
    retry_after: str | None, seconds: float | None
) -> None:
    worker = Worker()
    of = stream(worker, PAIR)
    next_host(of)
    of.attempt_answer({":status": "429", **({"retry-after": retry_after} if retry_after else {})})
    if seconds is None:
        assert order(worker, PAIR, 1) == ["a"]
        return
    times = [NOW, NOW + 1000 * seconds - 2, NOW + 1000 * seconds + 1]
    assert [order(worker, PAIR, 1, now) for now in times] == [["b"], ["b"], ["a"]]
    assert asked(worker=worker, told=OPEN).stream.selected() == ("host/lab@1", "1")


def test_a_date_is_read_as_http_writes_it() -> None:
    worker = Worker()
    for moment in (*range(10**8, 7 * 10**9, 86_400 * 97 + 12_345), 951_782_400, 1_709_164_800, 4_107_542_399):
        assert worker.library.date_of(text(formatdate(moment, usegmt=True))) == moment


def test_what_answers_is_told_to_the_client() -> None:
    of = asked({"model": "m"}, worker=Worker(), told=context())
    for attempts, name in (("1", "lab"), ("2", "other")):
        of.stream.attempt(of.sent)
        ran = of.stream.answer({":status": "404", "x-request-id": "its-own"})
        assert ran.headers == {
            ":status": "404",
            "x-request-id": "its-own",
            "x-corral-host-request-id": "its-own",
            "x-corral-host": name,
            "x-corral-host-model": "m",
            "x-corral-attempts": attempts,
        }
    assert of.known["host_model"] == "m"


def test_ten_thousand_edits_under_requests_leave_memory_as_it_was() -> None:
    worker, process, sizes = Worker(), psutil.Process(), list[int]()
    under_way = [stream(worker, PAIR)]
    for number in range(10_000):
        if not number % 2_500:
            sizes.append(process.memory_info().rss)
        plan = told(("a", 1 + number % 99, 0), ("b", 100, 1))
        under_way.append(stream(worker, plan))
        worker.forget(plan)  # it lives until its last request is over
        if len(under_way) > 20:
            assert next_host(under_way.pop(0)) in "ab"
    assert sizes[-1] - sizes[1] < 4 * 2**20, sizes


def limited(at_a: str, at_host: str = "") -> str:
    """As `PAIR`; what `a` takes of the model, and of all models: requests at once, and requests and tokens a minute."""
    own = PAIR.replace('target\ta\t100\t0\t"m"', f'target\ta\t100\t0\t"m"\t\t{at_a}')
    return own.replace("host/a@1\t127.0.0.1:9\t", f"host/a@1\t127.0.0.1:9\t\t\t\t{at_host}") if at_host else own


@pytest.mark.parametrize("plan", [limited("128\t\t"), limited("\t\t", "128\t\t")], ids=["of the model", "of the host"])
def test_a_host_that_is_full_is_passed_over_without_a_failed_try_until_a_place_is_free(plan: str) -> None:
    worker = Worker()
    under_way = [stream(worker, plan) for _ in range(130)]
    assert Counter(map(next_host, under_way)) == {"a": 128, "b": 2}
    assert worker.counted() == []  # nobody was tried in vain
    for end in ("answered", "broken off", "left"):
        of = under_way.pop(0)
        if end == "answered":
            of.attempt_answer(JSON, GOOD)
        elif end == "broken off":
            of.break_off()
        else:
            of.end()
        under_way += [stream(worker, plan) for _ in range(2)]
        assert [next_host(each) for each in under_way[-2:]] == ["a", "b"]


def test_a_stream_holds_its_place_until_its_end() -> None:
    worker, plan = Worker(), limited("1\t\t")
    of = stream(worker, plan)
    next_host(of)
    first, last = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"data: [DONE]\n\n"
    of.attempt_began(EVENTS, first)
    assert order(worker, plan, 1) == ["b"]
    of.attempt_answer(EVENTS, [first, last])
    of.answer(EVENTS, [first, last])
    assert order(worker, plan, 1) == ["a"]


def test_a_host_gets_no_more_requests_and_tokens_a_minute_than_it_takes() -> None:
    worker, plan = Worker(), limited("\t3\t")
    assert [order(worker, plan, 1)[0] for _ in range(4)] == ["a", "a", "a", "b"]
    assert order(worker, plan, 1, NOW + 20_000) == ["a"]
    worker, plan = Worker(), limited("\t\t100")
    of = stream(worker, plan)
    next_host(of)
    of.attempt_answer(JSON, GOOD)
    of.answer(JSON, [b'{"choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 90}}'])
    after = [NOW + seconds * 1000 for seconds in (0, 30, 31)]
    assert [order(worker, plan, 1, now)[0] for now in after] == ["b", "b", "a"]


def test_where_all_are_full_they_are_asked_all_the_same_and_who_is_left_out_is_not() -> None:
    worker, plan = Worker(), limited("1\t\t").replace('target\tb\t100\t1\t"m"', 'target\tb\t100\t1\t"m"\t\t1\t\t')
    under_way = [stream(worker, plan) for _ in range(4)]
    assert list(map(next_host, under_way)) == ["a", "b", "a", "a"]


def test_an_edit_of_the_shares_leaves_the_places_that_are_held() -> None:
    worker = Worker()
    of = stream(worker, limited("1\t\t"))
    assert next_host(of) == "a"
    edited = limited("1\t\t").replace("target\ta\t100\t0", "target\ta\t70\t0")
    assert order(worker, edited, 1) == ["b"]
    of.break_off()
    assert order(worker, edited, 1) == ["a"]
