"""What Prometheus gets, read again with Prometheus's own parsers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from corral.local.statistics.prices import Tariff, tariff
from corral.local.statistics.prometheus import Snapshot, Spending, expose, tokens
from corral.local.statistics.samples import read
from tests.plan.world import LLAMA, build

ROOT = Path(__file__).parents[3]
PLAN = build(
    {
        LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40, "azure": 0}, "fallback": ["lab"]},
        "llama-4-scout": {"shares": {"bedrock": 100}},
    }
)
ENVOY = f"""\
envoy_corral_requests{{tenant="search",model="{LLAMA}",host="bedrock",code="200"}} 7
envoy_corral_requests{{tenant="-",model="unknown model",host="",code="404"}} 5
envoy_corral_requests{{tenant="",model="-",host="-",code="404"}} 1
envoy_corral_attempts{{model="{LLAMA}",host="bedrock",code="503"}} 2
envoy_corral_limited{{tenant="search",model="{LLAMA}",limit="tokens"}} 4
envoy_corral_input_tokens{{tenant="search",model="{LLAMA}",host="bedrock"}} 1000000
envoy_corral_output_tokens{{tenant="search",model="{LLAMA}",host="bedrock"}} 500000
envoy_corral_output_tokens{{tenant="search",model="{LLAMA}",host="groq"}} 30
envoy_corral_duration_bucket{{model="{LLAMA}",host="bedrock",le="5"}} 1
envoy_corral_duration_bucket{{model="{LLAMA}",host="bedrock",le="10000"}} 6
envoy_corral_duration_bucket{{model="{LLAMA}",host="bedrock",le="+Inf"}} 7
envoy_corral_duration_sum{{model="{LLAMA}",host="bedrock"}} 12500
envoy_corral_duration_count{{model="{LLAMA}",host="bedrock"}} 7
"""


def snapshot(text: str = ENVOY) -> Snapshot:
    totals = read(text)
    spending = Spending()
    spending.look(tokens(totals), tariff(PLAN))
    return Snapshot(PLAN, totals, 3, spending.cost, spending.unpriced, frozenset({(LLAMA, "bedrock")}))


LABELS = ("tenant", "model", "host", "code", "direction", "limit", "le")


def values(families: Iterable[Metric]) -> dict[str, float]:
    """By the metric as it is written, without the label `stack`, which all have."""
    found: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            assert sample.labels["stack"] == "prod"
            labels = ",".join(f"{name}={sample.labels[name]}" for name in LABELS if name in sample.labels)
            written = f"{sample.name}{{{labels}}}"
            assert written not in found
            found[written] = sample.value
    return found


WANT = {
    f"corral_requests_total{{tenant=search,model={LLAMA},host=bedrock,code=200}}": 7,
    "corral_requests_total{tenant=-,model=,host=,code=404}": 6,
    f"corral_attempts_total{{model={LLAMA},host=bedrock,code=503}}": 2,
    f"corral_limited_total{{tenant=search,model={LLAMA},limit=tokens}}": 4,
    f"corral_tokens_total{{tenant=search,model={LLAMA},host=bedrock,direction=input}}": 1_000_000,
    f"corral_tokens_total{{tenant=search,model={LLAMA},host=bedrock,direction=output}}": 500_000,
    f"corral_tokens_total{{tenant=search,model={LLAMA},host=groq,direction=output}}": 30,
    f"corral_cost_dollars_total{{tenant=search,model={LLAMA},host=bedrock}}": 1.08,
    f"corral_unpriced_tokens_total{{tenant=search,model={LLAMA},host=bedrock}}": 0,
    f"corral_unpriced_tokens_total{{tenant=search,model={LLAMA},host=groq}}": 30,
    f"corral_request_duration_seconds_bucket{{model={LLAMA},host=bedrock,le=0.005}}": 1,
    f"corral_request_duration_seconds_bucket{{model={LLAMA},host=bedrock,le=10.0}}": 6,
    f"corral_request_duration_seconds_bucket{{model={LLAMA},host=bedrock,le=+Inf}}": 7,
    f"corral_request_duration_seconds_sum{{model={LLAMA},host=bedrock}}": 12.5,
    f"corral_request_duration_seconds_count{{model={LLAMA},host=bedrock}}": 7,
    f"corral_share_percent{{model={LLAMA},host=azure}}": 0,
    f"corral_share_percent{{model={LLAMA},host=bedrock}}": 60,
    f"corral_share_percent{{model={LLAMA},host=deepinfra}}": 40,
    f"corral_share_percent{{model={LLAMA},host=lab}}": 0,
    "corral_share_percent{model=llama-4-scout,host=bedrock}": 100,
    f"corral_host_ejected{{model={LLAMA},host=bedrock}}": 1,
    f"corral_host_ejected{{model={LLAMA},host=deepinfra}}": 0,
    f"corral_host_ejected{{model={LLAMA},host=lab}}": 0,
    "corral_host_ejected{model=llama-4-scout,host=bedrock}": 0,
    "corral_active_requests{}": 3,
}


def test_every_metric_in_prometheus_s_own_format() -> None:
    body, content_type = expose(snapshot())
    assert content_type.startswith("text/plain; version=0.0.4")
    assert values(classic(body.decode())) == WANT


OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_3 = f"{OPENMETRICS};version=1.0.0;q=0.5,{OPENMETRICS};version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*"


@pytest.mark.parametrize("accept", [OPENMETRICS, PROMETHEUS_3])
def test_openmetrics_is_given_to_whom_it_is_asked_by(accept: str) -> None:
    body, content_type = expose(snapshot(), accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    text = body.decode()
    assert text.endswith("# EOF\n")
    assert values(openmetrics(text)) == WANT


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/plain", "nonsense;;;"])
def test_everybody_else_gets_the_plain_text(accept: str) -> None:
    assert expose(snapshot(), accept)[1].startswith("text/plain")


FAMILIES = {
    "corral_requests": "counter",
    "corral_attempts": "counter",
    "corral_limited": "counter",
    "corral_request_duration_seconds": "histogram",
    "corral_first_byte_seconds": "histogram",
    "corral_tokens": "counter",
    "corral_cost_dollars": "counter",
    "corral_unpriced_tokens": "counter",
    "corral_share_percent": "gauge",
    "corral_host_ejected": "gauge",
    "corral_active_requests": "gauge",
}


def test_before_the_first_request_every_metric_is_described() -> None:
    families = {
        family.name: family for family in openmetrics(expose(snapshot(""), "application/openmetrics-text")[0].decode())
    }
    assert {name: family.type for name, family in families.items()} == FAMILIES
    assert [name for name, family in families.items() if not family.documentation.endswith(".")] == []


def test_the_documentation_names_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(corral_\w+)` \| ([`\w ]*)\|", (ROOT / "docs" / "usage.md").read_text(), re.MULTILINE)
    documented = {name: frozenset(re.findall(r"\w+", labels)) for name, labels in rows}
    exposed = {
        re.sub("_(bucket|sum|count)$", "", sample.name): frozenset(sample.labels) - {"stack", "le"}
        for family in classic(expose(snapshot())[0].decode())
        for sample in family.samples
    }
    assert documented == {**exposed, "corral_first_byte_seconds": exposed["corral_request_duration_seconds"]}


def test_a_price_that_changes_leaves_what_was_spent() -> None:
    totals = read(ENVOY)
    spending = Spending()
    spending.look(tokens(totals), tariff(PLAN))
    spending.look(tokens(totals), Tariff(datetime(2026, 11, 21, tzinfo=UTC), {}))
    assert spending.cost == {("search", LLAMA, "bedrock"): 108 * 10**10}
