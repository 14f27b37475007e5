"""The recorded names on the kubernetes engine, from the metrics of Envoy AI Gateway and of its Envoy.

What Corral knows and they do not (shares, prices, which id is which host's) stands in the rules themselves: they are
made from the plan, and are made again when it changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from components.observability.recorded import WINDOWS, Record, quoted
from components.plan.plan import ModelPlan, Plan, Target
from components.render.gateway_api.names import NAMESPACE, route_name

_MILLION = 1_000_000


def records(plan: Plan) -> Iterator[Record]:
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
    """The clusters of every edition of the model's route, as Envoy Gateway names them."""
    name = route_name(model.name, edition="[0-9a-f]{8}")
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
