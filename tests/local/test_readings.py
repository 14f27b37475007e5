"""What Envoy's statistics are read as."""

from __future__ import annotations

from collections import Counter

import pytest

from corral.local.statistics.readings import Key, Span, Timed, bins, counters, increase, key_of

M = "llama-3.3-70b"


@pytest.mark.parametrize(
    ("name", "want"),
    [
        (f"corral.requests.model.{M}.host.azure.code.200", Key("requests", M, "azure", 200)),
        (f"corral.requests.tenant.search.model.{M}.host.azure.code.200", Key("requests", M, "azure", 200, "search")),
        (f"corral.requests.tenant.-.model.{M}.host.-.code.503", Key("requests", M, "", 503)),
        (f"corral.attempts.model.{M}.host.my.lab.code.0", Key("attempts", M, "my.lab", 0)),
        (f"corral.duration.model.{M}.host.azure", Key("duration", M, "azure")),
        (f"corral.output_tokens.tenant.a.model.{M}.host.azure", Key("output_tokens", M, "azure", tenant="a")),
        (f"corral.limited.tenant.a.model.{M}.limit.tokens", Key("limited", M, tenant="a", limit="tokens")),
        ("corral.input_tokens.tenant.a.model.m.model.n.host.azure", Key("input_tokens", "m.model.n", "azure", 0, "a")),
        ("cluster.model/m.upstream_rq_active", None),
        ("", None),
    ],
)
def test_a_name_says_what_is_counted(name: str, want: Key | None):
    assert key_of(name) == want


def test_each_tenant_is_counted_for_itself():
    entries = [
        {"name": f"corral.requests.tenant.{tenant}.model.{M}.host.azure.code.200", "value": number}
        for tenant, number in (("search", 3), ("support", 4))
    ]
    assert counters([*entries, {"histograms": {}}]) == Counter(
        {Key("requests", M, "azure", 200, "search"): 3, Key("requests", M, "azure", 200, "support"): 4}
    )


def test_the_bins_of_a_histogram():
    detail = {
        "name": f"corral.duration.model.{M}.host.azure",
        "totals": [{"lower_bound": 1, "width": 0.1, "count": 2}, {"lower_bound": 50, "width": 1, "count": 1}],
        "intervals": [],
    }
    assert bins([detail]) == Counter(
        {Timed("duration", M, "azure", Span(1, 0.1)): 2, Timed("duration", M, "azure", Span(50, 1)): 1}
    )


@pytest.mark.parametrize(
    ("before", "now", "want"),
    [
        ({"a": 3}, {"a": 5, "b": 1}, {"a": 2, "b": 1}),
        ({"a": 3}, {"a": 3}, {}),
        ({"a": 3}, {"a": 1}, {"a": 1}),  # started again
        ({"a": 3, "b": 1}, {"b": 5}, {"b": 5}),
    ],
)
def test_the_increase_of_counters(before: dict[str, int], now: dict[str, int], want: dict[str, int]):
    assert increase(Counter(before), Counter(now)) == Counter(want)
