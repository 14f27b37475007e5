"""What the module counts of an answer, and what of it it passes on, however it comes in pieces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.plan.callers import Rate
from tests.local.module.asking import MINUTE, OPEN, asked, context
from tests.local.module.worker import NOW, Ran, Stream, Worker

pytestmark = pytest.mark.process

STREAM, JSON = "text/event-stream", "application/json"
LIMIT = 1_000
TOLD = context(rate=Rate(None, LIMIT), api="messages")
LEVEL = "tokens\tsearch\t"

SAYS = '{"choices":[{"delta":{"content":"Hey"}}],"usage":null}'
NAMES_THE_SPEAKER = '{"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}'
ENDS = '{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}'
USAGE = '{"choices":[],"usage":{"prompt_tokens":12,"total_tokens":46,"completion_tokens":34}}'
QUOTES = json.dumps({"choices": [{"delta": {"content": '"usage":{"prompt_tokens":99},"choices":[]'}}]})
FILTERED = '{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}'
LONG = json.dumps({"choices": [{"delta": {"content": "x" * 5_000}}]})


def events(*data: str, end: str = "\n") -> bytes:
    return "".join(f"data: {each}{end}{end}" for each in data).encode()


class Answered:
    """An answer that came in these pieces, and what became of it."""

    def __init__(
        self,
        worker: Worker,
        pieces: Sequence[bytes],
        kind: str = STREAM,
        status: str = "200",
        *,
        strip: bool = True,
        path: str = "/v1/chat/completions",
        told: str = TOLD,
        pace: int = 0,
    ) -> None:
        options = {} if strip else {"stream_options": {"include_usage": True}}
        body = {"model": "m", "stream": kind == STREAM, **options}
        asking = asked(body, path=path, worker=worker, told=told, now=NOW - 250)
        self.stream: Stream = asking.stream
        self.stream.now = NOW
        headers = {":status": status, "content-type": kind, "content-length": "9"}
        last = [b""] if kind == STREAM else []
        self.ran: Ran = self.stream.answer(headers, [*pieces, *last], pace)

    @property
    def counted(self) -> dict[str, Any]:
        noted = self.stream.metadata
        return {
            name: value
            for name, value in noted.items()
            if name not in ("path", "tenant", "model", "stream", "plan", "commit")
        }


def drawn(worker: Worker) -> float:
    """Tokens that were taken from the tenant's bucket."""
    return round(max(0, worker.level(LEVEL).value - NOW * 1000) * LIMIT / MINUTE, 3)


def told(prompt: int, answer: int, cached: int | None = None, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": prompt,
        "output_tokens": answer,
        "estimated": False,
        "first_byte_ms": 250,
        **({} if cached is None else {"cached_tokens": cached, "reasoning_tokens": reasoning}),
    }


@st.composite
def split(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    cuts = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    return [whole[start:stop] for start, stop in pairwise([0, *cuts, len(whole)]) if stop > start]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], bytes, bytes]:
    """A stream in pieces, and whole; and what of it is passed on when its usage was not asked for."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    middle = draw(st.lists(st.sampled_from([SAYS, QUOTES, FILTERED, LONG]), max_size=6))
    opening = [events(NAMES_THE_SPEAKER, *middle, ENDS, end=end), f": a comment{end}{end}".encode()]
    closing = events("[DONE]", end=end) if draw(st.booleans()) else b"data: [DONE]"
    before, after = b"".join(opening), closing
    whole = before + events(USAGE, end=end) + after
    return draw(split(whole)), whole, before + after


@given(streams())
def test_a_stream_is_counted_alike_however_it_comes_and_its_usage_is_taken_out(
    stream: tuple[list[bytes], bytes, bytes],
) -> None:
    pieces, _, passed = stream
    worker = Worker()
    of = Answered(worker, pieces)
    assert b"".join(of.ran.passed) == passed
    assert of.counted == told(12, 34)
    assert drawn(worker) == 46
    assert "content-length" not in of.ran.headers


@given(streams())
def test_a_stream_whose_client_asked_for_the_usage_passes_as_it_is(stream: tuple[list[bytes], bytes, bytes]) -> None:
    pieces, _, _ = stream
    worker = Worker()
    of = Answered(worker, pieces, strip=False)
    assert b"".join(of.ran.passed) == b"".join(pieces)
    assert (of.counted, drawn(worker)) == (told(12, 34), 46)


@given(
    st.lists(st.sampled_from([SAYS, QUOTES, FILTERED, ENDS]), max_size=8).flatmap(
        lambda data: st.tuples(st.just(data), split(events(*data)))
    )
)
def test_of_a_stream_that_is_cut_off_the_pieces_that_came_count(came: tuple[list[str], list[bytes]]) -> None:
    data, pieces = came
    worker = Worker()
    of = Answered(worker, pieces)
    said = sum(each in (SAYS, QUOTES) for each in data)
    assert of.counted.get("output_tokens", 0) == said
    assert of.counted.get("estimated", True)
    assert drawn(worker) == said
    assert b"".join(of.ran.passed) == events(*data)


CACHED = {"input_tokens": 7, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3}
COMPLETED = {
    "type": "response.completed",
    "response": {
        "tools": [{"parameters": {"usage": {"input_tokens": 0, "output_tokens": 0}}}],
        "usage": {
            "input_tokens": 12,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": 34,
            "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 46,
        },
        "metadata": {"prompt_tokens": "7"},
    },
}
CHAT = {
    "choices": [{"message": {"content": 'He said "usage": {"prompt_tokens": 5} and "completion_tokens":6'}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 34, "prompt_tokens_details": {"cached_tokens": 1}},
}


@pytest.mark.parametrize(
    ("kind", "whole", "want"),
    [
        (JSON, json.dumps(CHAT), told(12, 34, cached=1)),
        (JSON, json.dumps(CHAT, indent=2), told(12, 34, cached=1)),
        (JSON, json.dumps(dict(reversed(CHAT.items()))), told(12, 34, cached=1)),
        (
            JSON,
            json.dumps({"data": [{"embedding": [0.5] * 900}], "usage": {"prompt_tokens": 9, "total_tokens": 9}}),
            told(9, 0),
        ),
        (JSON, json.dumps({"output": [{"text": "x"}], **COMPLETED["response"]}), told(12, 34, cached=3, reasoning=4)),
        (JSON, json.dumps({"results": [{"index": 0}], "usage": {"total_tokens": 9}}), told(9, 0)),
        (JSON, json.dumps({"type": "message", "usage": CACHED | {"output_tokens": 34}}), told(12, 34, cached=3)),
        (JSON, json.dumps({"choices": [], "usage": None}), {}),
        (JSON, json.dumps({"choices": [], "usage": {}}), {}),
        (JSON, json.dumps({"choices": [{"message": {"content": '"usage":{"prompt_tokens":5}'}}]}), {}),
        (JSON, '{"usage":{"prompt_tokens":' + "9" * 40 + ',"completion_tokens":1}}', told(10**8, 1)),
        (JSON, "no JSON at all", {}),
        (
            STREAM,
            events(json.dumps({"delta": "Hey"}), json.dumps(COMPLETED)).decode(),
            told(12, 34, cached=3, reasoning=4),
        ),
        (
            STREAM,
            events(
                '{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":12,"completion_tokens":1}}',
                '{"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":12,"completion_tokens":34}}',
                "[DONE]",
            ).decode(),
            told(12, 34),
        ),
    ],
)
def test_the_usage_is_found_wherever_an_api_has_it(kind: str, whole: str, want: dict[str, Any]) -> None:
    for size in (1, 7, 1_000, len(whole)):
        pieces = [whole[at : at + size].encode() for at in range(0, len(whole), size)]
        worker = Worker()
        of = Answered(worker, pieces, kind, strip=False)
        assert (of.ran.body if kind == JSON else b"".join(of.ran.passed)) == whole.encode()
        assert of.counted == want
        assert drawn(worker) == want.get("input_tokens", 0) + want.get("output_tokens", 0)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_event_too_long_to_be_held_back_is_passed_on_as_it_comes_and_the_usage_is_still_taken_out(end: str) -> None:
    long = json.dumps({"choices": [{"delta": {"content": "x" * 3 * 2**20}}]})
    before, after = events(long, end=end), events("[DONE]", end=end)
    whole = before + events(USAGE, end=end) + after
    for size in (2**14, 2**16 + 1, len(whole)):
        of = Answered(Worker(), [whole[at : at + size] for at in range(0, len(whole), size)])
        assert b"".join(of.ran.passed) == before + after
        assert of.counted == told(12, 34)


def test_the_time_a_piece_takes_grows_with_it_and_not_faster() -> None:
    def seconds(length: int) -> float:
        spent: list[float] = []
        for _ in range(3):
            worker = Worker()
            start = process_time()
            Answered(worker, [b"data: " + b"x" * length])
            spent.append(process_time() - start)
        return min(spent)

    assert seconds(1_600_000) < 64 * seconds(100_000) + 0.05


def test_the_headers_tell_what_is_left_before_the_answer_is_known() -> None:
    worker = Worker()
    of = Answered(worker, [])
    assert of.ran.headers == {
        ":status": "200",
        "content-type": STREAM,
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "1000",
        "x-ratelimit-reset-tokens": "0.000s",
    }


def test_an_error_of_a_host_costs_nothing() -> None:
    worker = Worker()
    of = Answered(worker, [b'{"usage":{"prompt_tokens":12,"completion_tokens":1}}'], JSON, "400")
    assert (of.counted, drawn(worker)) == ({}, 0)


def test_what_a_piece_has_used_is_drawn_when_it_comes() -> None:
    worker = Worker()
    Answered(worker, [events(SAYS)] * 3, pace=60_000)
    # the bucket was full again before the last piece
    assert worker.level(LEVEL).value == (NOW + 120_000) * 1000 + MINUTE // LIMIT


def test_an_answer_to_a_request_that_was_not_let_through_is_left_alone() -> None:
    stream = asked({"model": "m"}, authorization=None, worker=Worker()).stream
    ran = stream.answer({":status": "404"}, [events(USAGE)])
    assert (ran.headers, ran.passed) == ({":status": "404"}, (events(USAGE),))
    assert stream.metadata == {"path": "/v1/chat/completions"}


def test_without_tenants_tokens_are_counted_and_nothing_is_drawn() -> None:
    worker = Worker()
    of = Answered(worker, [events(SAYS, USAGE, "[DONE]")], told=OPEN)
    assert (of.counted, worker.level("tokens\t\t").value) == (told(12, 34), 0)


def test_an_answer_has_the_name_that_was_asked_for_whatever_the_host_calls_it() -> None:
    whole = {"id": "1", "model": "Org/Its-Own", "choices": [{"message": {"content": 'a "model": "Org/Its-Own"'}}]}
    for indent in (None, 2):
        of = Answered(Worker(), [json.dumps(whole, indent=indent).encode()], JSON)
        assert json.loads(of.ran.body) == {**whole, "model": "m"}


NAMED = [
    '{"model":"Org/Its-Own","choices":[{"delta":{"content":"Hey"}}]}',
    r'{"choices":[{"delta":{"content":"\"model\":\"Org/Its-Own\""},"finish_reason":"stop"}],"model":"Org/Its-Own"}',
]


@given(split(events(*NAMED, "[DONE]")), st.booleans())
def test_so_has_every_event_of_a_stream_however_it_comes(pieces: list[bytes], strip: bool) -> None:
    of = Answered(Worker(), pieces, strip=strip)
    ours = [each.replace('"model":"Org/Its-Own"', '"model":"m"') for each in NAMED]
    assert b"".join(of.ran.passed) == events(*ours, "[DONE]")


@pytest.mark.parametrize("choices", ["", '"choices":null,', '"choices":[ ],'])
def test_an_event_of_usage_is_one_whether_or_not_it_has_choices(choices: str) -> None:
    of_usage = "{" + choices + '"usage":{"prompt_tokens":12,"completion_tokens":34}}'
    of = Answered(Worker(), [events(SAYS, ENDS, of_usage, "[DONE]")])
    assert b"".join(of.ran.passed) == events(SAYS, ENDS, "[DONE]")
    assert of.counted == told(12, 34)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        ([SAYS, ENDS], None),
        ([SAYS, "[DONE]"], None),
        ([SAYS, USAGE], None),
        (['{"choices":[{"delta":{"content":"error"}}],"error":null}', QUOTES, ENDS, "[DONE]"], None),
        ([json.dumps(COMPLETED)], None),
        ([], "unfinished"),
        ([SAYS], "unfinished"),
        ([SAYS, r'{"choices":[{"delta":{"content":"data: [DONE]\n\n"}}]}'], "unfinished"),
        (['{"error":{"message":"no"}}', "[DONE]"], "error"),
        (['{"error": "no"}'], "error"),
        ([SAYS, '{"choices":[],"error":{"code":502}}', "[DONE]"], "error"),
        ([SAYS, '{"choices":[{"delta":{},"finish_reason":"error"}]}', "[DONE]"], "error"),
        (['{"object":"error","message":"no"}'], "error"),
        (['{"type":"response.failed","response":{}}'], "error"),
    ],
)
def test_a_stream_that_is_an_error_or_does_not_end_is_a_failure(data: list[str], failure: str | None) -> None:
    for end in ("\n", "\r\n"):
        whole = events(*data, end=end)
        for size in (7, len(whole) + 1):
            of = Answered(Worker(), [whole[at : at + size] for at in range(0, len(whole), size)])
            assert of.counted.get("failure") == failure


SPEAKS = [
    f'{{"type":"message_start","message":{{"model":"Its-Own","usage":{json.dumps({**CACHED, "output_tokens": 1})}}}}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"message_stop"}}',
    '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{"}}',
]
STOPS = [
    '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":34}}',
    '{"type":"message_stop"}',
]


@given(split(events(*SPEAKS, *STOPS)))
def test_anthropic_s_messages_tell_the_prompt_first_and_the_answer_last(pieces: list[bytes]) -> None:
    worker = Worker()
    of = Answered(worker, pieces, strip=False, path="/v1/messages")
    assert b"".join(of.ran.passed) == events(*SPEAKS, *STOPS).replace(b"Its-Own", b"m")
    assert (of.counted, drawn(worker)) == (told(12, 34), 46)


@given(split(events(*SPEAKS)))
def test_of_messages_that_break_off_the_pieces_that_came_count_with_the_prompt(pieces: list[bytes]) -> None:
    worker = Worker()
    of = Answered(worker, pieces, strip=False, path="/v1/messages")
    assert of.counted == told(12, 2) | {"estimated": True, "failure": "unfinished"}
    assert drawn(worker) == 14
