"""Rules and dashboard: valid, over metrics that exist, and they fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corral.cli.project import load_servable
from corral.monitoring.dashboard import dashboard
from corral.monitoring.records import records
from corral.monitoring.rules import rules
from corral.plan.plan import Plan
from tests.plan.world import LLAMA, SCOUT, build

LOCAL = build(
    {
        LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40}, "fallback": ["lab"], "volume": "900M"},
        SCOUT: {"shares": {"bedrock": 100}},
    },
    tenants={"search": {"budget": {"day": 300}}},
)
CLUSTER = replace(LOCAL, engine="kubernetes")
EXPOSED = {
    "local": {
        "corral_requests_total",
        "corral_request_duration_seconds_bucket",
        "corral_first_byte_seconds_bucket",
        "corral_attempts_total",
        "corral_tokens_total",
        "corral_cost_dollars_total",
        "corral_cached_tokens_total",
        "corral_reasoning_tokens_total",
        "corral_unpriced_tokens_total",
        "corral_limited_total",
        "corral_plan_info",
        "corral_share_percent",
        "corral_host_ejected",
        "corral_active_requests",
        "corral_waiting_requests",
        "corral_budget_limit_dollars",
        "corral_budget_used_dollars",
        "corral_config_last_reload_successful",
        "corral_config_last_reload_success_timestamp_seconds",
    },
    "kubernetes": {
        "gen_ai_client_token_usage_sum",
        "gen_ai_server_request_duration_seconds_bucket",
        "gen_ai_server_request_duration_seconds_count",
        "gen_ai_server_time_to_first_token_seconds_bucket",
        "envoy_cluster_upstream_rq_xx",
        "envoy_cluster_outlier_detection_ejections_active",
    },
}
"""Per engine the metrics that exist: those of the page's /metrics; those of Envoy AI Gateway, as Prometheus names them
(its tests/data-plane/vcr/prometheus_metrics_test.go), and of its Envoy."""
PLANS = pytest.mark.parametrize("plan", [LOCAL, CLUSTER], ids=lambda plan: plan.engine)
STACK = f'stack="{LOCAL.stack}"'
MODEL = f'{STACK},model="{LLAMA}"'
CLUSTERS = 'envoy_cluster_name="httproute/corral/llama-3-3-70b-3026a7-5be30c4e/rule/0"'
FUNCTIONS = {"sum", "rate", "max", "abs", "absent", "vector", "clamp_max", "histogram_quantile", "changes"}


def expressions(plan: Plan) -> Iterator[str]:
    for group in rules(plan)["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def metrics(expression: str) -> set[str]:
    """The metrics an expression reads."""
    bare = re.sub(r"\{[^}]*\}", "", re.sub(r'"[^"]*"', "", expression))
    bare = re.sub(r"(?:by|on|group_left) ?\([^)]*\)|\[\w+\]", "", bare)
    return set(re.findall(r"\b[a-z_]+[a-z0-9_:]{6,}\b", bare)) - FUNCTIONS


@PLANS
def test_every_metric_that_a_rule_reads_exists_or_is_recorded(plan: Plan):
    exist = EXPOSED[plan.engine]
    recorded = {record.name for record in records(plan)}
    read = set[str]().union(*(metrics(expression) for expression in expressions(plan)))
    assert read - recorded <= exist
    assert read & exist
    assert {name for name in read if name.startswith("corral:")} <= recorded


def test_both_engines_record_the_same_names():
    assert {record.name for record in records(LOCAL)} == {record.name for record in records(CLUSTER)}


def test_the_dashboard_reads_recorded_names_alone_and_every_panel_says_what_it_shows():
    board = json.loads(json.dumps(dashboard()))
    recorded = {record.name for record in records(LOCAL)}
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert metrics(target["expr"]) <= recorded
            assert target["legendFormat"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_the_local_engine_exposes_what_its_rules_may_read():
    prometheus = pytest.importorskip("corral.local.statistics.prometheus")
    readings = pytest.importorskip("corral.local.statistics.readings")
    status = pytest.importorskip("corral.local.statistics.status")
    now = datetime.now(UTC)
    exposition = prometheus.Exposition(LOCAL, readings.Readings(), {}, {}, status.Reload(None, now, now))
    families = exposition.collect()
    named = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert {name.removesuffix("_bucket") for name in EXPOSED["local"]} == named


@pytest.fixture(scope="module")
def promtool() -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool on PATH (Debian: apt-get install prometheus)")
    return program


@PLANS
def test_prometheus_takes_the_rules(promtool: str, tmp_path: Path, plan: Plan):
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules(plan, budget=100)))
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr


def firing(promtool: str, folder: Path, plan: Plan, series: dict[str, str], at: str, alert: str, number: int) -> str:
    """Empty if so many of these alerts fire then; else what promtool says."""
    (folder / "rules.json").write_text(json.dumps(rules(plan)))
    test = {
        "rule_files": ["rules.json"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                        "eval_time": at,
                        "exp_samples": [{"labels": "{}", "value": number}] if number else [],
                    }
                ],
            }
        ],
    }
    (folder / "test.json").write_text(json.dumps(test))
    done = subprocess.run(
        [promtool, "test", "rules", "test.json"], cwd=folder, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def corral(metric: str, **labels: str) -> str:
    matchers = "".join(f',{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{MODEL}{matchers}}}"


def gen_ai(metric: str, host_id: str, **labels: str) -> str:
    matchers = "".join(f',{name}="{value}"' for name, value in labels.items())
    return f'{metric}{{gen_ai_original_model="{LLAMA}",gen_ai_request_model="{host_id}"{matchers}}}'


IDS = {target.host: target.model_id for target in LOCAL.models[0].targets}
COUNT = "gen_ai_server_request_duration_seconds_count"
TOKENS = "gen_ai_client_token_usage_sum"
REQUESTS, REPLIES = "corral_requests_total", "envoy_cluster_upstream_rq_xx"


def requests(host: str, code: str, values: str) -> dict[str, str]:
    return {corral(REQUESTS, host=host, code=code, tenant="a"): values}


def replies(code_class: str, values: str) -> dict[str, str]:
    return {f'{REPLIES}{{{CLUSTERS},envoy_response_code_class="{code_class}"}}': values}


def spent(dollars: int) -> dict[str, str]:
    of_day = f'{{{STACK},tenant="search",window="day"}}'
    return {f"corral_budget_used_dollars{of_day}": f"{dollars}x20", f"corral_budget_limit_dollars{of_day}": "300x20"}


def declared(**shares: int) -> dict[str, str]:
    return {corral("corral_share_percent", host=host): f"{share}x60" for host, share in shares.items()}


ERRORS, OUT, DRIFT = "CorralErrorBudgetBurns", "CorralHostEjected", "CorralShareDrift"
BUDGET, NOTHING, REFUSED = "CorralBudget", "CorralNothingCounted", "CorralStackFileRefused"
RELOADED = f"corral_config_last_reload_successful{{{STACK}}}"
Case = tuple[Plan, str, int, str, dict[str, str]]
"""Plan, alert, how many of it fire, at which time, the series."""

CASES: dict[str, Case] = {
    "one of twenty lost": (
        *(LOCAL, ERRORS, 3, "10m"),  # at all three burn rates
        {**requests("bedrock", "200", "0+60x20"), **requests("-", "503", "0+3x20")},
    ),
    "none lost": (LOCAL, ERRORS, 0, "10m", requests("bedrock", "200", "0+60x20")),
    "refused for a limit": (
        *(LOCAL, ERRORS, 0, "10m"),
        {**requests("bedrock", "200", "0+60x20"), **requests("-", "429", "0+30x20")},
    ),
    "left out": (LOCAL, OUT, 1, "10m", {corral("corral_host_ejected", host="bedrock"): "1x20"}),
    "left out for a moment": (LOCAL, OUT, 0, "10m", {corral("corral_host_ejected", host="bedrock"): "1x2 0x20"}),
    "drifted": (
        *(LOCAL, DRIFT, 2, "60m"),
        {
            **requests("bedrock", "200", "0+30x60"),
            **requests("deepinfra", "200", "0+70x60"),
            **declared(bedrock=60, deepinfra=40),
        },
    ),
    "as declared": (
        *(LOCAL, DRIFT, 0, "60m"),
        {
            **requests("bedrock", "200", "0+58x60"),
            **requests("deepinfra", "200", "0+42x60"),
            **declared(bedrock=60, deepinfra=40),
        },
    ),
    "dear": (
        *(LOCAL, BUDGET, 1, "180m"),
        {corral("corral_cost_dollars_total", host="bedrock", tenant="a"): "0+1x200"},
    ),
    "cheap": (
        *(LOCAL, BUDGET, 0, "180m"),
        {corral("corral_cost_dollars_total", host="bedrock", tenant="a"): "0+0.001x200"},
    ),
    "a budget nearly used up": (LOCAL, "CorralTenantBudget", 1, "10m", spent(271)),
    "a budget of which a tenth is left": (LOCAL, "CorralTenantBudget", 0, "10m", spent(270)),
    "nothing": (LOCAL, NOTHING, 1, "20m", {"up": "1x30"}),
    "refused": (LOCAL, REFUSED, 1, "10m", {f"corral_config_last_reload_successful{{{STACK}}}": "0x20"}),
    "refused for a moment": (
        LOCAL,
        REFUSED,
        0,
        "10m",
        {f"corral_config_last_reload_successful{{{STACK}}}": "0x3 1x20"},
    ),
    "one of twenty lost in a cluster": (
        CLUSTER,
        ERRORS,
        3,
        "10m",
        {**replies("2", "0+60x20"), **replies("5", "0+3x20")},
    ),
    "none lost in a cluster": (CLUSTER, ERRORS, 0, "10m", replies("2", "0+60x20")),
    "left out in a cluster": (
        *(CLUSTER, OUT, 1, "10m"),
        {f"envoy_cluster_outlier_detection_ejections_active{{{CLUSTERS}}}": "1x20"},
    ),
    "drifted in a cluster": (
        *(CLUSTER, DRIFT, 2, "60m"),
        {
            **replies("2", "0+100x60"),
            gen_ai(COUNT, IDS["bedrock"]): "0+30x60",
            gen_ai(COUNT, IDS["deepinfra"]): "0+70x60",
        },
    ),
    "dear in a cluster": (
        *(CLUSTER, BUDGET, 1, "180m"),
        {gen_ai(TOKENS, IDS["bedrock"], gen_ai_token_type="input"): "0+10000000x200"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires_when_it_should_and_only_then(promtool: str, tmp_path: Path, case: str):
    plan, alert, number, at, series = CASES[case]
    assert firing(promtool, tmp_path, plan, series, at, alert, number) == ""


FILES = Path(__file__).parents[2] / "docs" / "observability"
EXAMPLES = Path(__file__).parents[1] / "stacks" / "examples"


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_the_files_in_the_documents_are_up_to_date(stack: str):
    again = f"make it again: copy the examples into a folder stacks, and there corral monitoring --stack {stack}"
    plan = load_servable(EXAMPLES / f"Pulumi.{stack}.yaml").plan
    assert json.loads((FILES / f"{stack}.rules.json").read_text()) == rules(plan), again
    assert json.loads((FILES / "dashboard.json").read_text()) == dashboard(), again
