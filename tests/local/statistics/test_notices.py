"""What an operator hears of a host at once."""

from __future__ import annotations

from collections import Counter

import pytest

from corral.local.statistics.notices import Notices
from corral.local.statistics.readings import Readings, Series
from tests.plan.world import build

M = "llama-3.3-70b"
PLAN = build({M: {"shares": {"bedrock": 60, "deepinfra": 40, "azure": 0}, "fallback": ["lab"]}})


def attempts(host: str, code: int, number: int) -> Readings:
    return Readings(Counter({Series("attempts", M, host, code): number}))


def test_a_refused_key_is_said_once_and_again_after_a_new_plan() -> None:
    notes: list[str] = []
    notices = Notices(notes.append)
    seen = attempts("deepinfra", 401, 3)
    notices.check(seen, PLAN)
    notices.check(seen, PLAN)
    want = (
        f"deepinfra REFUSES OUR KEY for {M}: HTTP 401 (is the one in DEEPINFRA_API_KEY right?). "
        "Its requests go to the other hosts."
    )
    assert notes == [want]
    notices.in_force(Readings())
    notices.check(seen, PLAN)
    assert notes == [want, want]


def test_credentials_of_aws_that_are_refused_may_have_expired() -> None:
    notes: list[str] = []
    Notices(notes.append).check(attempts("bedrock", 403, 1), PLAN)
    (note,) = notes
    assert note == (
        f"bedrock REFUSES OUR AWS CREDENTIALS for {M}: HTTP 403. A session or a token may have expired (corral verify "
        "says so): sign in again (aws sso login), or start with a new AWS_BEARER_TOKEN_BEDROCK. Its requests go to the "
        "other hosts."
    )


@pytest.mark.parametrize("host", ["deepinfra", "bedrock"])
@pytest.mark.parametrize(("code", "other"), [(404, ", or not the path that was asked for"), (410, "")])
def test_a_host_that_does_not_know_what_was_asked_for_may_know_the_model(host: str, code: int, other: str) -> None:
    notes: list[str] = []
    Notices(notes.append).check(attempts(host, code, 1), PLAN)
    (target,) = (target for target in PLAN.models[0].targets if target.host == host)
    want = f"{host} HAS NOT GOT {target.model_id}, which it should serve as {M}{other}: HTTP {code}. Try corral verify."
    assert notes == [f"{want} Its requests go to the other hosts."]


def test_that_a_host_is_ejected_and_comes_back_is_said_each_time() -> None:
    notes: list[str] = []
    notices = Notices(notes.append)
    for out in (True, True, False, False, True):
        members = frozenset({(M, "bedrock")}) if out else frozenset[tuple[str, str]]()
        notices.check(Readings(left_out=members), PLAN)
    left, back = f"bedrock is left out of {M}: it failed five times in a row.", f"bedrock is back in {M}."
    assert notes == [left, back, left]


def test_what_was_refused_before_the_plan_came_into_force_is_no_news() -> None:
    notes: list[str] = []
    notices = Notices(notes.append)
    notices.in_force(attempts("deepinfra", 401, 3))
    notices.check(attempts("deepinfra", 401, 3), PLAN)
    assert notes == []
    notices.check(attempts("deepinfra", 401, 4), PLAN)
    assert len(notes) == 1
