"""Declared beside observed, from counters."""

from __future__ import annotations

from collections import Counter

import pytest

from corral.local.session import Notices
from corral.local.statistics.status import Counts, HostStatus, ModelStatus, failed, status
from tests.plan.world import build

M = "llama-3.3-70b"
PLAN = build({M: {"shares": {"bedrock": 60, "deepinfra": 40, "azure": 0}, "fallback": ["lab"]}})


def counts(requests: dict[tuple[str, int], int], attempts: dict[tuple[str, int], int] | None = None) -> Counts:
    def series(given: dict[tuple[str, int], int]) -> Counter[tuple[str, str, int]]:
        return Counter({(M, host, code): number for (host, code), number in given.items()})

    return Counts(
        series(requests), series(requests if attempts is None else attempts), {(M, "bedrock"): {50: 12.0, 99: 80.0}}
    )


def test_the_status_of_a_model() -> None:
    seen = counts(
        {("bedrock", 200): 57, ("deepinfra", 200): 38, ("lab", 200): 3, ("lab", 400): 2, ("", 503): 1},
        {
            ("bedrock", 200): 57,
            ("bedrock", 503): 5,
            ("deepinfra", 200): 38,
            ("deepinfra", 401): 1,
            ("lab", 200): 3,
            ("lab", 400): 2,
        },
    )
    assert status(PLAN, seen, {(f"model/{M} shares", "bedrock")}, {"deepinfra": "no key"}) == (
        ModelStatus(
            M,
            requests=101,
            errors=1,
            hosts=(
                HostStatus("azure", "drained", 0, 0.0, 0, 0, 0, None, None, True, None),
                HostStatus("bedrock", "share", 60, 57.0, 57, 62, 5, 12.0, 80.0, False, None),
                HostStatus("deepinfra", "share", 40, 38.0, 38, 39, 1, None, None, True, "no key"),
                HostStatus("lab", "fallback", 0, 5.0, 5, 5, 0, None, None, True, None),
            ),
        ),
    )


def test_without_requests_nothing_is_observed() -> None:
    assert {host.observed for host in status(PLAN, counts({}), set(), {})[0].hosts} == {None}


def test_only_what_came_since_counts_and_an_envoy_that_was_started_again_counts_from_zero() -> None:
    before = counts({("bedrock", 200): 100})
    assert counts({("bedrock", 200): 110}).since(before).requests == Counter({(M, "bedrock", 200): 10})
    assert counts({("bedrock", 200): 7}).since(before).requests == Counter({(M, "bedrock", 200): 7})


def test_a_host_fails_by_what_another_host_may_better() -> None:
    assert [code for code in (0, 200, 400, 401, 403, 404, 410, 413, 422, 429, 500, 503) if failed(code)] == [
        0, 401, 403, 404, 410, 429, 500, 503,
    ]  # fmt: skip


def test_a_refused_key_is_said_once_and_again_after_a_new_plan() -> None:
    said: list[str] = []
    notices = Notices(said.append)
    seen = counts({}, {("deepinfra", 401): 3})
    notices.look(seen, set(), PLAN)
    notices.look(seen, set(), PLAN)
    want = (
        f"deepinfra REFUSES OUR KEY for {M}: HTTP 401 (is the one in DEEPINFRA_API_KEY right?). "
        "Its requests go to the other hosts."
    )
    assert said == [want]
    notices.forget()
    notices.look(seen, set(), PLAN)
    assert said == [want, want]


@pytest.mark.parametrize("host", ["deepinfra", "bedrock"])
@pytest.mark.parametrize(("code", "other"), [(404, ", or not the path that was asked for"), (410, "")])
def test_a_host_that_does_not_know_what_was_asked_for_may_know_the_model(host: str, code: int, other: str) -> None:
    said: list[str] = []
    Notices(said.append).look(counts({}, {(host, code): 1}), set(), PLAN)
    (target,) = (target for target in PLAN.models[0].targets if target.host == host)
    want = f"{host} HAS NOT GOT {target.model_id}, which it should serve as {M}{other}: HTTP {code}. Try corral verify."
    assert said == [f"{want} Its requests go to the other hosts."]


def test_that_a_host_is_left_out_and_comes_back_is_said_each_time() -> None:
    said: list[str] = []
    notices = Notices(said.append)
    for out in (True, True, False, False, True):
        notices.look(counts({}), {(f"model/{M} shares", "bedrock")} if out else set(), PLAN)
    left, back = f"bedrock is left out of {M}: it failed five times in a row.", f"bedrock is back in {M}."
    assert said == [left, back, left]
