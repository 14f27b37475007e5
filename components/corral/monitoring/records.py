"""The metrics that exist, and who exposes them.  Nothing here reads any other.

Envoy AI Gateway: internal/metrics/genai.go, as Prometheus names them (tests/data-plane/vcr/prometheus_metrics_test.go);
its port `aigw-admin`, path /metrics.  It records each attempt at a host, and labels it with the model that was asked
for (`gen_ai_original_model`) and the id that the host was asked for (`gen_ai_request_model`), not with the host.

Envoy: docs, Cluster manager statistics; at Envoy Gateway's port `metrics`, path /stats/prometheus.  What a cluster
answered with is counted once a request: an answer that is tried again is not counted there.

The recorded names that alerts and dashboard read, the same for both engines.

    corral:requests:rate<window>       {stack, model}              requests a second, as clients see them
    corral:error_ratio:rate<window>    {stack, model}              part of them that ended in a 5xx or in no answer
    corral:duration_seconds:p50, :p99  {stack, model}
    corral:first_byte_seconds:p50      {stack, model}
    corral:tokens:rate5m               {stack, model, direction}   tokens a second, `input` or `output`
    corral:cost_dollars:per_hour       {stack, model}              of the tokens whose price is known
    corral:observed_share:percent      {stack, model, host}        of the last half hour
    corral:declared_share:percent      {stack, model, host}
    corral:left_out                    {stack, model, host}        1 while it is left out for failing

On the kubernetes engine a host is known by the id of the model that it is asked for; hosts of one model with the same
id are one, named with all their names, and of a host that is left out only the model is known.

The recorded names on the local engine, from Corral's own metrics.

The recorded names on the kubernetes engine, from the metrics of Envoy AI Gateway and of its Envoy.

What Corral knows and they do not (shares, prices, which id is which host's) stands in the rules themselves: they are
made from the plan, and are made again when it changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from corral.gateway.manifests.cutover import route_name
from corral.gateway.names import NAMESPACE
from corral.plan.plan import ModelPlan, Plan, Target

CORRAL = frozenset(
    {
        "corral_requests_total",
        "corral_request_duration_seconds_bucket",
        "corral_first_byte_seconds_bucket",
        "corral_attempts_total",
        "corral_tokens_total",
        "corral_cost_dollars_total",
        "corral_unpriced_tokens_total",
        "corral_limited_total",
        "corral_share_percent",
        "corral_host_ejected",
        "corral_active_requests",
    }
)
"""Of the local engine, at the page's /metrics."""

KUBERNETES = frozenset(
    {
        "gen_ai_client_token_usage_sum",
        "gen_ai_server_request_duration_seconds_bucket",
        "gen_ai_server_request_duration_seconds_count",
        "gen_ai_server_time_to_first_token_seconds_bucket",
        "envoy_cluster_upstream_rq_xx",
        "envoy_cluster_outlier_detection_ejections_active",
    }
)
"""Of the kubernetes engine."""


WINDOWS = ("5m", "30m", "1h", "6h", "3d")
"""Those of the burn rates in `alerts`."""


@dataclass(frozen=True)
class Record:
    """A recording rule."""

    name: str
    expression: str
    labels: dict[str, str] = field(default_factory=dict[str, str])

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.name, "expr": self.expression, **({"labels": self.labels} if self.labels else {})}


def quoted(text: str) -> str:
    """A text as PromQL writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_OF = "by (stack, model)"
_SOME = 'model!~"|-"'
"""Of a model that there is; a request for another one counts without."""


def local_records(plan: Plan) -> Iterator[Record]:
    """Every recording rule of a stack."""
    where = f"stack={quoted(plan.stack)},{_SOME}"
    for window in WINDOWS:
        requests = f"sum {_OF} (rate(corral_requests_total{{{where}}}[{window}]))"
        errors = f'sum {_OF} (rate(corral_requests_total{{{where},code=~"0|5.."}}[{window}]))'
        yield Record(f"corral:requests:rate{window}", requests)
        yield Record(f"corral:error_ratio:rate{window}", f"({errors} or 0 * {requests}) / ({requests} > 0)")
    for part, name in ((0.5, "p50"), (0.99, "p99")):
        yield Record(f"corral:duration_seconds:{name}", _quantile(part, "corral_request_duration_seconds", where))
    yield Record("corral:first_byte_seconds:p50", _quantile(0.5, "corral_first_byte_seconds", where))
    yield Record("corral:tokens:rate5m", f"sum by (stack, model, direction) (rate(corral_tokens_total{{{where}}}[5m]))")
    yield Record("corral:cost_dollars:per_hour", f"3600 * sum {_OF} (rate(corral_cost_dollars_total{{{where}}}[1h]))")
    answered = f'corral_requests_total{{{where},host!~"|-"}}'
    yield Record(
        "corral:observed_share:percent",
        f"100 * sum by (stack, model, host) (rate({answered}[30m]))"
        f" / on (stack, model) group_left () (sum {_OF} (rate({answered}[30m])) > 0)",
    )
    yield Record("corral:declared_share:percent", f"max by (stack, model, host) (corral_share_percent{{{where}}})")
    yield Record("corral:left_out", f"max by (stack, model, host) (corral_host_ejected{{{where}}})")


def _quantile(part: float, histogram: str, where: str) -> str:
    return f"histogram_quantile({part}, sum by (stack, model, le) (rate({histogram}_bucket{{{where}}}[5m])))"


_MILLION = 1_000_000


def kubernetes_records(plan: Plan) -> Iterator[Record]:
    """Every recording rule of a stack."""
    for model in plan.models:
        labels = {"stack": plan.stack, "model": model.name}
        yield from _requests(model, labels)
        yield from _times(model, labels)
        yield from _tokens(model, labels)
        yield from _shares(model, labels)
        yield Record(
            "corral:left_out",
            f"clamp_max(sum(envoy_cluster_outlier_detection_ejections_active{{{_clusters(model)}}}), 1)",
            {**labels, "host": "unknown"},
        )


def _clusters(model: ModelPlan) -> str:
    """The clusters of every revision of the model's route, as Envoy Gateway names them."""
    name = route_name(model.name, revision="[0-9a-f]{8}")
    return f"envoy_cluster_name=~{quoted(f'httproute/{NAMESPACE}/{name}/rule/[0-9]+(/.*)?')}"


def _requests(model: ModelPlan, labels: dict[str, str]) -> Iterator[Record]:
    where = _clusters(model)
    for window in WINDOWS:
        requests = f"sum(rate(envoy_cluster_upstream_rq_xx{{{where}}}[{window}]))"
        errors = f'sum(rate(envoy_cluster_upstream_rq_xx{{{where},envoy_response_code_class="5"}}[{window}]))'
        yield Record(f"corral:requests:rate{window}", requests, labels)
        yield Record(f"corral:error_ratio:rate{window}", f"({errors} or vector(0)) / ({requests} > 0)", labels)


def _times(model: ModelPlan, labels: dict[str, str]) -> Iterator[Record]:
    where = f"gen_ai_original_model={quoted(model.name)}"
    duration, first = "gen_ai_server_request_duration_seconds", "gen_ai_server_time_to_first_token_seconds"
    for part, name, histogram in (
        (0.5, "corral:duration_seconds:p50", duration),
        (0.99, "corral:duration_seconds:p99", duration),
        (0.5, "corral:first_byte_seconds:p50", first),
    ):
        expression = f"histogram_quantile({part}, sum by (le) (rate({histogram}_bucket{{{where}}}[5m])))"
        yield Record(name, expression, labels)


def _tokens(model: ModelPlan, labels: dict[str, str]) -> Iterator[Record]:
    of = f"gen_ai_original_model={quoted(model.name)}"
    for direction in ("input", "output"):
        where = f"{of},gen_ai_token_type={quoted(direction)}"
        expression = f"sum(rate(gen_ai_client_token_usage_sum{{{where}}}[5m]))"
        yield Record("corral:tokens:rate5m", expression, {**labels, "direction": direction})
    parts = [
        f"(sum(rate(gen_ai_client_token_usage_sum{{{of},gen_ai_request_model={quoted(model_id)},"
        f"gen_ai_token_type={quoted(direction)}}}[1h])) or vector(0)) * {price * 3600} / {_MILLION * _MILLION}"
        for model_id, targets in _by_id(model).items()
        if (prices := {target.price for target in targets}) and len(prices) == 1 and (known := targets[0].price)
        for direction, price in (("input", known.input), ("output", known.output))
    ]
    if parts:
        yield Record("corral:cost_dollars:per_hour", " + ".join(parts), labels)


def _shares(model: ModelPlan, labels: dict[str, str]) -> Iterator[Record]:
    all_of = f"gen_ai_server_request_duration_seconds_count{{gen_ai_original_model={quoted(model.name)}"
    for model_id, targets in _by_id(model).items():
        host = {**labels, "host": ", ".join(target.host for target in targets)}
        of = f"{all_of},gen_ai_request_model={quoted(model_id)}}}"
        yield Record(
            "corral:observed_share:percent",
            f"100 * (sum(rate({of}[30m])) or vector(0)) / (sum(rate({all_of}}}[30m])) > 0)",
            host,
        )
        yield Record("corral:declared_share:percent", f"vector({sum(target.share for target in targets)})", host)


def _by_id(model: ModelPlan) -> dict[str, list[Target]]:
    found: defaultdict[str, list[Target]] = defaultdict(list)
    for target in model.targets:
        found[target.model_id].append(target)
    return dict(found)
