"""What Prometheus gets, read again with Prometheus's own parsers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from corral.local.budgets import BudgetStatus
from corral.local.statistics.cost import Spending, tariff
from corral.local.statistics.prometheus import Exposition, expose
from corral.local.statistics.readings import parse
from corral.local.statistics.status import Reload
from corral.plan.trace import model_hash
from tests.plan.world import LLAMA, build

ROOT = Path(__file__).parents[3]
PLAN = build(
    {
        LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40, "azure": 0}, "fallback": ["lab"]},
        "llama-4-scout": {"shares": {"bedrock": 100}},
    },
    {"bedrock": {"overflow": "wait 2s"}},
)
COUNTED = {
    f"requests.tenant.search.model.{LLAMA}.host.bedrock.code.200.end.-/-": 7,
    "requests.tenant.-.model.unknown model.host..code.404.end.-/-": 5,
    "requests.tenant..model.-.host.-.code.404.end.-/-": 1,
    f"attempts.model.{LLAMA}.host.bedrock.code.503.end.-/-": 2,
    f"limited.tenant.search.model.{LLAMA}.limit.tokens": 4,
    f"input_tokens.tenant.search.model.{LLAMA}.host.bedrock": 1_000_000,
    f"output_tokens.tenant.search.model.{LLAMA}.host.bedrock": 500_000,
    f"output_tokens.tenant.search.model.{LLAMA}.host.groq": 30,
    f"cached_tokens.tenant.search.model.{LLAMA}.host.groq": 20,
    f"reasoning_tokens.tenant.search.model.{LLAMA}.host.groq": 10,
}
DURATIONS = {
    "name": f"corral.duration.model.{LLAMA}.host.bedrock",
    "totals": [
        {"lower_bound": 0, "width": 0, "count": 1},
        {"lower_bound": 4.9, "width": 0.1, "count": 1},
        {"lower_bound": 5, "width": 0.1, "count": 1},
        {"lower_bound": 9_900, "width": 100, "count": 4},
        {"lower_bound": 700_000, "width": 10_000, "count": 1},
    ],
}
ENVOY: list[dict[str, Any]] = [
    *({"name": f"corral.{name}", "value": number} for name, number in COUNTED.items()),
    {"name": "http.gateway.downstream_rq_active", "value": 3},
    {"histograms": {"details": [DURATIONS]}},
]


NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
RELOAD = Reload("It was refused.", NOW, NOW)
BUDGETS = (
    BudgetStatus("search", "day", 300_000_000, 12_345_678, refuses=True),
    BudgetStatus("search", "month", 4_000_000_000, 99_000_000, refuses=True),
)


def exposed(accept: str = "", entries: list[dict[str, Any]] = ENVOY) -> tuple[bytes, str]:
    left_out = {"name": f"corral.ejected_until.model.{LLAMA}.host.bedrock", "value": 1}
    waiting = {"name": f"corral.waiting.model.{LLAMA}.host.bedrock", "value": 5}
    readings = parse([*entries, left_out, waiting], 0)
    spending = Spending()
    spending.charge(readings.counters, tariff(PLAN))
    return expose(Exposition(PLAN, readings, spending.cost, spending.unpriced, RELOAD, BUDGETS), accept)


LABELS = ("tenant", "model", "host", "code", "direction", "limit", "plan", "commit", "window", "le")


def values(families: Iterable[Metric]) -> dict[str, float]:
    """By the metric as it is written, without the label `stack`, which all have."""
    numbers: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            assert sample.labels["stack"] == "prod"
            labels = ",".join(f"{name}={sample.labels[name]}" for name in LABELS if name in sample.labels)
            written = f"{sample.name}{{{labels}}}"
            assert written not in numbers
            numbers[written] = sample.value
    return numbers


WANT = {
    f"corral_requests_total{{tenant=search,model={LLAMA},host=bedrock,code=200}}": 7,
    "corral_requests_total{tenant=-,model=,host=,code=404}": 6,
    f"corral_attempts_total{{model={LLAMA},host=bedrock,code=503}}": 2,
    f"corral_limited_total{{tenant=search,model={LLAMA},limit=tokens}}": 4,
    f"corral_tokens_total{{tenant=search,model={LLAMA},host=bedrock,direction=input}}": 1_000_000,
    f"corral_tokens_total{{tenant=search,model={LLAMA},host=bedrock,direction=output}}": 500_000,
    f"corral_tokens_total{{tenant=search,model={LLAMA},host=groq,direction=output}}": 30,
    f"corral_cost_dollars_total{{tenant=search,model={LLAMA},host=bedrock}}": 1.08,
    f"corral_cached_tokens_total{{tenant=search,model={LLAMA},host=groq}}": 20,
    f"corral_reasoning_tokens_total{{tenant=search,model={LLAMA},host=groq}}": 10,
    f"corral_unpriced_tokens_total{{tenant=search,model={LLAMA},host=bedrock}}": 0,
    f"corral_unpriced_tokens_total{{tenant=search,model={LLAMA},host=groq}}": 30,
    **{
        f"corral_request_duration_seconds_bucket{{model={LLAMA},host=bedrock,le={bound}}}": number
        for bounds, number in (
            (("0.005",), 2),
            (("0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0"), 3),
            (("10.0", "20.0", "30.0", "60.0", "120.0", "300.0", "600.0"), 7),
            (("+Inf",), 8),
        )
        for bound in bounds
    },
    f"corral_request_duration_seconds_sum{{model={LLAMA},host=bedrock}}": pytest.approx(744.7624, rel=1e-4),
    f"corral_request_duration_seconds_count{{model={LLAMA},host=bedrock}}": 8,
    f"corral_share_percent{{model={LLAMA},host=azure}}": 0,
    f"corral_share_percent{{model={LLAMA},host=bedrock}}": 60,
    f"corral_share_percent{{model={LLAMA},host=deepinfra}}": 40,
    f"corral_share_percent{{model={LLAMA},host=lab}}": 0,
    "corral_share_percent{model=llama-4-scout,host=bedrock}": 100,
    f"corral_plan_info{{model={LLAMA},plan={model_hash(PLAN.models[0], PLAN)},commit=unknown}}": 1,
    f"corral_plan_info{{model=llama-4-scout,plan={model_hash(PLAN.models[1], PLAN)},commit=unknown}}": 1,
    f"corral_host_ejected{{model={LLAMA},host=bedrock}}": 1,
    f"corral_host_ejected{{model={LLAMA},host=deepinfra}}": 0,
    f"corral_host_ejected{{model={LLAMA},host=lab}}": 0,
    "corral_host_ejected{model=llama-4-scout,host=bedrock}": 0,
    "corral_active_requests{}": 3,
    f"corral_waiting_requests{{model={LLAMA},host=bedrock}}": 5,
    "corral_waiting_requests{model=llama-4-scout,host=bedrock}": 0,
    "corral_budget_limit_dollars{tenant=search,window=day}": 300,
    "corral_budget_limit_dollars{tenant=search,window=month}": 4_000,
    "corral_budget_used_dollars{tenant=search,window=day}": 12.345678,
    "corral_budget_used_dollars{tenant=search,window=month}": 99,
    "corral_config_last_reload_successful{}": 0,
    "corral_config_last_reload_success_timestamp_seconds{}": NOW.timestamp(),
}


def test_every_metric_in_prometheus_s_own_format() -> None:
    body, content_type = exposed()
    assert content_type.startswith("text/plain; version=0.0.4")
    assert values(classic(body.decode())) == WANT


OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_3 = f"{OPENMETRICS};version=1.0.0;q=0.5,{OPENMETRICS};version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*"


@pytest.mark.parametrize("accept", [OPENMETRICS, PROMETHEUS_3])
def test_openmetrics_is_given_to_whom_it_is_asked_by(accept: str) -> None:
    body, content_type = exposed(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    text = body.decode()
    assert text.endswith("# EOF\n")
    assert values(openmetrics(text)) == WANT


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/plain", "nonsense;;;"])
def test_everybody_else_gets_the_plain_text(accept: str) -> None:
    assert exposed(accept)[1].startswith("text/plain")


FAMILIES = {
    "corral_requests": "counter",
    "corral_attempts": "counter",
    "corral_limited": "counter",
    "corral_cached_tokens": "counter",
    "corral_reasoning_tokens": "counter",
    "corral_request_duration_seconds": "histogram",
    "corral_first_byte_seconds": "histogram",
    "corral_tokens": "counter",
    "corral_cost_dollars": "counter",
    "corral_unpriced_tokens": "counter",
    "corral_share_percent": "gauge",
    "corral_plan_info": "gauge",
    "corral_host_ejected": "gauge",
    "corral_active_requests": "gauge",
    "corral_waiting_requests": "gauge",
    "corral_budget_limit_dollars": "gauge",
    "corral_budget_used_dollars": "gauge",
    "corral_config_last_reload_successful": "gauge",
    "corral_config_last_reload_success_timestamp_seconds": "gauge",
}


def test_before_the_first_request_every_metric_is_described() -> None:
    families = {family.name: family for family in openmetrics(exposed("application/openmetrics-text", [])[0].decode())}
    assert {name: family.type for name, family in families.items()} == FAMILIES
    assert [name for name, family in families.items() if not family.documentation.endswith(".")] == []


def test_the_documentation_names_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(corral_\w+)` \| ([`\w ]*)\|", (ROOT / "docs" / "usage.md").read_text(), re.MULTILINE)
    documented = {name: frozenset(re.findall(r"\w+", labels)) for name, labels in rows}
    metrics = {
        re.sub("_(bucket|sum|count)$", "", sample.name): frozenset(sample.labels) - {"stack", "le"}
        for family in classic(exposed()[0].decode())
        for sample in family.samples
    }
    assert documented == {**metrics, "corral_first_byte_seconds": metrics["corral_request_duration_seconds"]}
