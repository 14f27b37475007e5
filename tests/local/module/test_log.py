"""What is left of a request: its line of the log, and what it adds to the series."""

from __future__ import annotations

import pytest

from tests.local.module.asking import OPEN, asked
from tests.local.module.worker import Worker

_ANSWER = b'{"model":"m","choices":[{}],"usage":{"prompt_tokens":7,"completion_tokens":3,"cached_tokens":9}}'
_JSON = {":status": "200", "content-type": "application/json"}
_DC, _URX, _UF = 1 << 14, 1 << 15, 1 << 5
_PAYER = "tenant.search.model.m.host.lab"


def test_a_line_has_every_field_and_the_series_have_the_same_numbers():
    worker = Worker()
    of = asked(worker=worker, x_request_id='an "id"\x01')
    of.stream.attempt(of.ran.body)
    of.stream.now += 12
    of.stream.attempt_answer(_JSON, [_ANSWER])
    of.stream.answer(_JSON, [_ANSWER])
    line = of.stream.line(200, _UF | _URX, 123_456_789)
    assert line == {
        "time": "2026-11-21T15:48:30.759Z",
        "id": 'an "id"?',
        "tenant": "search",
        "model": "m",
        "host": "lab",
        "host_model": "m",
        "method": "POST",
        "path": "/v1/chat/completions",
        "stream": False,
        "status": 200,
        "failure": None,
        "input_tokens": 7,
        "cached_tokens": 7,
        "output_tokens": 3,
        "reasoning_tokens": 0,
        "estimated": False,
        "first_byte_ms": 12,
        "duration_ms": 123,
        "attempts": 0,
        "flags": "UF,URX",
        "plan": "a-hash",
        "commit": None,
        "limit": None,
    }
    assert worker.series() == {
        "corral.attempts.model.m.host.lab.code.200": 1,
        f"corral.requests.{_PAYER}.code.200.end.UF,URX/-": 1,
        f"corral.input_tokens.{_PAYER}": 7,
        f"corral.cached_tokens.{_PAYER}": 7,
        f"corral.output_tokens.{_PAYER}": 3,
    }
    assert worker.times() == {
        "corral.duration.model.m.host.lab": [{"lower_bound": 120, "width": 10, "count": 1}],
        "corral.first_byte.model.m.host.lab": [{"lower_bound": 12, "width": 1, "count": 1}],
    }


def test_a_client_that_left_before_its_request_was_read_is_of_no_model():
    worker = Worker()
    line = asked(b"{", worker=worker, told=OPEN).stream.line(0, _DC, -1)
    assert (line["status"], line["flags"], line["duration_ms"]) == (0, "DC", None)
    assert (line["tenant"], line["model"], line["host"], line["plan"], line["stream"]) == (None,) * 5
    assert worker.series() == {"corral.requests.tenant.-.model.-.host.-.code.0.end.DC/-": 1}


@pytest.mark.parametrize(
    ("milliseconds", "lower", "width"),
    [
        (0, 0, 0),
        (5, 5, 0.1),
        (42, 42, 1),
        (99, 99, 1),
        (100, 100, 10),
        (999, 990, 10),
        (86_400_000, 86_000_000, 1_000_000),
    ],
)
def test_times_lie_in_bins_of_two_digits(milliseconds: int, lower: int, width: float):
    worker = Worker()
    asked(worker=worker).stream.line(nanoseconds=milliseconds * 1_000_000)
    assert worker.times()["corral.duration.model.m.host.-"] == [{"lower_bound": lower, "width": width, "count": 1}]
