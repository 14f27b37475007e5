"""Declared beside observed, from counters."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from corral.local.statistics.readings import Bin, Readings, Series, Timed
from corral.local.statistics.status import STATUS, HostStatus, ModelStatus, Reload, StackStatus, status
from corral.plan.public_json import to_json
from tests.plan.world import build

M = "llama-3.3-70b"
PLAN = build({M: {"shares": {"bedrock": 60, "deepinfra": 40, "azure": 0}, "fallback": ["lab"]}})


def counters(counter: str, numbers: dict[tuple[str, int], int]) -> Counter[Series]:
    """By host and status."""
    return Counter({Series(counter, M, host, code): number for (host, code), number in numbers.items()})


NOTHING: dict[str, Any] = {"first_byte_p95": None, "input_tokens": 0, "output_tokens": 0}
BEGUN: dict[str, Any] = {"first_byte_p95": 7.0, "input_tokens": 30, "output_tokens": 40}


def test_the_status_of_a_model() -> None:
    counted = counters(
        "requests",
        {("bedrock", 200): 57, ("deepinfra", 200): 38, ("lab", 200): 3, ("lab", 400): 2, ("", 503): 1, ("", 404): 4},
    ) + counters(
        "attempts",
        {
            ("bedrock", 200): 57,
            ("bedrock", 503): 5,
            ("deepinfra", 200): 38,
            ("deepinfra", 401): 1,
            ("lab", 200): 3,
            ("lab", 400): 2,
        },
    )
    times = Counter({Timed("duration", M, "bedrock", Bin(12)): 56, Timed("duration", M, "bedrock", Bin(80)): 1})
    times[Timed("first_byte", M, "bedrock", Bin(7))] = 57
    counted += Counter({Series("input_tokens", M, "bedrock"): 30, Series("output_tokens", M, "bedrock"): 40})
    readings = Readings(counted, times, left_out=frozenset({(M, "bedrock")}))
    assert status(PLAN, readings, {"deepinfra": "no key"}) == (
        ModelStatus(
            M,
            requests=105,
            server_errors=1,
            client_errors=6,
            hosts=(
                HostStatus("azure", "drained", 0, 0.0, 0, 0, 0, None, None, ejected=False, simulated=None, **NOTHING),
                HostStatus("bedrock", "share", 60, 57.0, 57, 62, 5, 12.0, 80.0, ejected=True, simulated=None, **BEGUN),
                HostStatus(
                    "deepinfra", "share", 40, 38.0, 38, 39, 1, None, None, ejected=False, simulated="no key", **NOTHING
                ),
                HostStatus("lab", "fallback", 0, 5.0, 5, 5, 0, None, None, ejected=False, simulated=None, **NOTHING),
            ),
        ),
    )


def test_without_requests_nothing_is_observed() -> None:
    assert {host.observed for host in status(PLAN, Readings(), {})[0].hosts} == {None}


def test_the_status_as_json_is_read_back() -> None:
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    stack = StackStatus("a hash", Reload("It was refused.", now, now), status(PLAN, Readings(), {}))
    text = json.dumps(to_json(stack), separators=(",", ":"))
    assert STATUS.validate_json(text) == STATUS.validate_json(STATUS.dump_json(stack, by_alias=True)) == stack
    assert text.startswith('{"plan":"a hash","lastReload":{"problem":"It was refused.","since":"2026-11-29T12:00:00')
    assert '"serverErrors":0,"clientErrors":0' in text
    assert '"failedAttempts":0,"p50":null' in text
