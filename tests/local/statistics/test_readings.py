"""What Envoy's statistics are read as."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.statistics.readings import (
    Bin,
    Readings,
    Series,
    Timed,
    client_error,
    failed_attempt,
    parse,
    quantile,
    result,
    series_of,
    server_error,
)
from tests.plan.world import build

M = "llama-3.3-70b"
ODD = "org/with:odd.host.name"


@pytest.mark.parametrize(
    ("name", "want"),
    [
        (f"corral.requests.model.{M}.host.azure.code.200.end.-/-", Series("requests", M, "azure", 200)),
        (
            f"corral.requests.tenant.search.model.{M}.host.azure.code.200.end.-/-",
            Series("requests", M, "azure", 200, "search"),
        ),
        (f"corral.requests.tenant.-.model.{M}.host.-.code.503.end.-/-", Series("requests", M, "", 503)),
        ("corral.requests.tenant.a.model.unknown model.host..code.404.end.-/-", Series("requests", "", "", 404, "a")),
        (f"corral.attempts.model.{M}.host.my-lab.code.0.end.-/-", Series("attempts", M, "my-lab", 0)),
        (f"corral.attempts.model.{ODD}.host.azure.code.0.end.-/-", Series("attempts", ODD, "azure", 0)),
        (f"corral.requests.model.{M}.host.azure.code.200.end.UC/-", Series("requests", M, "azure", 0)),
        (f"corral.requests.model.{M}.host.azure.code.200.end.-/error", Series("requests", M, "azure", 0)),
        (f"corral.attempts.model.{M}.host.azure.code.503.end.URX,UF/-", Series("attempts", M, "azure", 503)),
        (f"corral.duration.model.{M}.host.azure", Series("duration", M, "azure")),
        (f"corral.output_tokens.tenant.a.model.{M}.host.azure", Series("output_tokens", M, "azure", tenant="a")),
        (f"corral.limited.tenant.a.model.{ODD}.limit.tokens", Series("limited", ODD, tenant="a", limit="tokens")),
        (
            "corral.input_tokens.tenant.a.model.m.limit.n.model.o.host.azure",
            Series("input_tokens", "m.limit.n.model.o", "azure", 0, "a"),
        ),
        (f"corral.attempts.model.{M}.host.azure.code.404", Series("attempts", M, "azure", 404)),
        ("cluster.host/groq@277a65a5.upstream_rq_active", None),
        ("", None),
    ],
)
def test_a_name_says_what_is_counted(name: str, want: Series | None):
    assert series_of(name) == want


@pytest.mark.parametrize(
    ("status", "flags", "failure", "want"),
    [
        (200, "-", "-", 200),
        (200, None, None, 200),
        (200, "DC", "-", 200),
        (200, "UPE", "-", 0),
        (200, "URX,UT", "-", 0),
        (200, "-", "unfinished", 0),
        (200, "DC", "error", 0),
        (429, "UC", "error", 429),
        (502, "UC", "-", 502),
        (0, "DC", "-", 0),
    ],
)
def test_an_answer_that_began_and_was_none_counts_as_one_that_never_came(
    status: int, flags: str | None, failure: str | None, want: int
):
    assert result(status, flags, failure) == want


def test_what_is_wanted_of_envoy_s_statistics():
    detail = {
        "name": f"corral.duration.model.{M}.host.azure",
        "totals": [{"lower_bound": 1, "width": 0.1, "count": 2}, {"lower_bound": 50, "width": 1, "count": 1}],
        "intervals": [],
    }
    entries = [
        {"name": f"corral.requests.tenant.search.model.{M}.host.azure.code.200.end.-/-", "value": 3},
        {"name": f"corral.requests.tenant.support.model.{M}.host.azure.code.200.end.-/-", "value": 4},
        {"name": "http.gateway.downstream_rq_active", "value": 5},
        {"name": "corral.active.tenant.search", "value": 2},
        {"name": f"corral.waiting.model.{M}.host.azure", "value": 6},
        {"name": f"corral.ejected_until.model.{M}.host.azure", "value": 1_001},
        {"name": f"corral.ejected_until.model.{M}.host.my-lab", "value": 1_000},
        {"histograms": {"supported_percentiles": [], "details": [detail]}},
    ]
    assert parse(entries, 1_000) == Readings(
        Counter({Series("requests", M, "azure", 200, "search"): 3, Series("requests", M, "azure", 200, "support"): 4}),
        Counter({Timed("duration", M, "azure", Bin(1, 0.1)): 2, Timed("duration", M, "azure", Bin(50, 1)): 1}),
        active=5,
        active_of_tenants={"search": 2},
        waiting={(M, "azure"): 6},
        left_out=frozenset({(M, "azure")}),
    )


def test_what_came_since_is_what_was_counted_and_the_rest_is_as_of_now():
    series, timed = Series("requests", M), Timed("duration", M, "azure", Bin(1))
    before = Readings(Counter({series: 100}), Counter({timed: 1}), active=7)
    now = Readings(Counter({series: 110}), Counter({timed: 3}), active=2)
    assert now.since(before) == Readings(Counter({series: 10}), Counter({timed: 2}), active=2)


def test_the_ejected_hosts_are_those_that_the_plan_has():
    plan = build({M: {"shares": {"azure": 10, "bedrock": 90, "deepinfra": 0}, "fallback": ["lab"]}})
    members = {(M, "bedrock"), (M, "lab"), (M, "deepinfra"), ("gone", "bedrock")}
    assert Readings(left_out=frozenset(members)).ejected(plan) == {(M, "bedrock"), (M, "lab")}


CODES = (0, 200, 400, 401, 403, 404, 410, 413, 422, 429, 500, 503)


def test_an_error_is_the_server_s_or_the_client_s():
    assert [code for code in CODES if server_error(code)] == [0, 500, 503]
    assert [code for code in CODES if client_error(code)] == [400, 401, 403, 404, 410, 413, 422, 429]


def test_a_host_fails_by_what_another_host_may_better():
    assert [code for code in CODES if failed_attempt(code)] == [0, 401, 403, 404, 410, 413, 429, 500, 503]


ROUNDING = 1e-6
BINS = st.dictionaries(st.integers(0, 50).map(lambda n: Bin(n * 10.0, 10.0)), st.integers(1, 100), min_size=1)


@pytest.mark.parametrize(
    ("values", "part", "want"),
    [
        ({}, 0.5, None),
        ({Bin(10, 1): 0}, 0.5, None),
        ({Bin(10, 1): 4}, 0.5, 10.5),
        ({Bin(10, 1): 1, Bin(20, 2): 1}, 0.5, 11),
        ({Bin(20, 2): 1, Bin(10, 1): 99}, 0.99, 11),
        ({Bin(20, 2): 2, Bin(10, 1): 98}, 0.99, 21),
    ],
)
def test_values_are_spread_evenly_within_a_bin(values: dict[Bin, int], part: float, want: float | None):
    assert quantile(values, part) == (want if want is None else pytest.approx(want))


@given(BINS, st.floats(0.01, 1))
def test_a_quantile_lies_where_values_are_and_grows_with_its_part(values: dict[Bin, int], part: float):
    result = quantile(values, part)
    assert result is not None
    assert any(each.lower - ROUNDING <= result <= each.lower + each.width + ROUNDING for each in values)
    assert result <= (quantile(values, 1) or 0) + ROUNDING


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_quantile_of_single_values_is_one_that_so_many_do_not_exceed(values: list[float], share: float):
    result = quantile(Counter(map(Bin, values)), share)
    assert result is not None
    assert result in values
    assert sum(value <= result for value in values) >= share * len(values) - 1e-9
