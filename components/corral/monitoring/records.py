"""The recorded names that alerts and dashboard read, the same for both engines, and how each engine records them.

    corral:requests:rate<window>       {stack, model}              requests a second, as clients see them
    corral:error_ratio:rate<window>    {stack, model}              part of them that ended in a 5xx, or not at all
    corral:duration_seconds:p50, :p99  {stack, model}
    corral:first_byte_seconds:p50      {stack, model}
    corral:tokens:rate5m               {stack, model, direction}   tokens a second, `input` or `output`
    corral:cost_dollars:per_hour       {stack, model}              of the tokens whose price is known
    corral:observed_share:percent      {stack, model, host}        of the last half hour
    corral:declared_share:percent      {stack, model, host}
    corral:ejected                     {stack, model, host}        1 while it is ejected: it fails
    corral:plan                        {stack, model, plan}        1: it is in force; the local one has its commit

The local engine's are made from Corral's own metrics, for all models at once.

The kubernetes engine's are made from the metrics of Envoy AI Gateway and of its Envoy, model by model.  What Corral
knows and they do not (shares, prices, which id is which host's) stands in the rules themselves, which are made again
when the plan changes.  Envoy AI Gateway (internal/metrics/genai.go; its port `aigw-admin`, path /metrics) records each
attempt at a host, labelled with the model that was asked for (`gen_ai_original_model`) and the host's id of it
(`gen_ai_request_model`), not with the host.  So hosts of one model with the same id are one, named with all their
names, and of an ejected host only the model is known.  Envoy (docs, Cluster manager statistics; Envoy Gateway's port
`metrics`, path /stats/prometheus) counts what a cluster answered with once a request: an answer that is tried again is
not counted there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from corral.gateway.manifests.cutover import clusters
from corral.plan.plan import ModelPlan, Plan, Price, Target
from corral.plan.trace import model_hash

WINDOWS = ("5m", "30m", "1h", "6h", "3d")
"""Those of the burn rates in `alerts`."""

_EXISTING = 'model!~"|-"'
"""Matches a model that there is; a request for another one counts without."""

_MILLION = 1_000_000


@dataclass(frozen=True)
class Record:
    """A recording rule."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def rule(self) -> dict[str, Any]:
        """The rule, as Prometheus reads it."""
        return {"record": self.name, "expr": self.expression, **({"labels": self.labels} if self.labels else {})}


def records(plan: Plan) -> Iterator[Record]:
    """Every recording rule of a stack."""
    return _local(plan) if plan.engine == "local" else _kubernetes(plan)


def quoted(text: str) -> str:
    """A text as PromQL writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _sum(expression: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) ({expression})" if by else f"sum({expression})"


def _requests(metric: str, where: str, failed: str, by: tuple[str, ...], labels: Mapping[str, str]) -> Iterator[Record]:
    for window in WINDOWS:
        requests = _sum(f"rate({metric}{{{where}}}[{window}])", *by)
        errors = _sum(f"rate({metric}{{{where},{failed}}}[{window}])", *by)
        none = f"0 * {requests}" if by else "vector(0)"
        yield Record(f"corral:requests:rate{window}", requests, labels)
        yield Record(f"corral:error_ratio:rate{window}", f"({errors} or {none}) / ({requests} > 0)", labels)


def _times(duration: str, first: str, where: str, by: tuple[str, ...], labels: Mapping[str, str]) -> Iterator[Record]:
    for part, name, histogram in (
        (0.5, "corral:duration_seconds:p50", duration),
        (0.99, "corral:duration_seconds:p99", duration),
        (0.5, "corral:first_byte_seconds:p50", first),
    ):
        buckets = _sum(f"rate({histogram}_bucket{{{where}}}[5m])", *by, "le")
        yield Record(name, f"histogram_quantile({part}, {buckets})", labels)


def _local(plan: Plan) -> Iterator[Record]:
    where = f"stack={quoted(plan.stack)},{_EXISTING}"
    by, by_host, none = ("stack", "model"), ("stack", "model", "host"), dict[str, str]()
    yield from _requests("corral_requests_total", where, 'code=~"0|5.."', by, none)
    yield from _times("corral_request_duration_seconds", "corral_first_byte_seconds", where, by, none)
    yield Record("corral:tokens:rate5m", _sum(f"rate(corral_tokens_total{{{where}}}[5m])", *by, "direction"))
    spent = _sum(f"rate(corral_cost_dollars_total{{{where}}}[1h])", *by)
    yield Record("corral:cost_dollars:per_hour", f"3600 * {spent}")
    answered = f'rate(corral_requests_total{{{where},host!~"|-"}}[30m])'
    yield Record(
        "corral:observed_share:percent",
        f"100 * {_sum(answered, *by_host)} / on (stack, model) group_left () ({_sum(answered, *by)} > 0)",
    )
    yield Record("corral:declared_share:percent", f"max by (stack, model, host) (corral_share_percent{{{where}}})")
    yield Record("corral:ejected", f"max by (stack, model, host) (corral_host_ejected{{{where}}})")
    yield Record("corral:plan", f"max by (stack, model, plan, commit) (corral_plan_info{{{where}}})")


def _kubernetes(plan: Plan) -> Iterator[Record]:
    for model in plan.models:
        labels = {"stack": plan.stack, "model": model.name}
        of = f"gen_ai_original_model={quoted(model.name)}"
        duration, first = "gen_ai_server_request_duration_seconds", "gen_ai_server_time_to_first_token_seconds"
        yield from _requests(
            "envoy_cluster_upstream_rq_xx", clusters(model.name), 'envoy_response_code_class="5"', (), labels
        )
        yield from _times(duration, first, of, (), labels)
        yield from _tokens(model, of, labels)
        yield from _shares(model, f"{duration}_count{{{of}", labels)
        yield Record(
            "corral:ejected",
            f"clamp_max(sum(envoy_cluster_outlier_detection_ejections_active{{{clusters(model.name)}}}), 1)",
            {**labels, "host": "unknown"},
        )
        yield Record("corral:plan", "vector(1)", {**labels, "plan": model_hash(model, plan)})


def _tokens(model: ModelPlan, of: str, labels: Mapping[str, str]) -> Iterator[Record]:
    def used(where: str, direction: str, window: str) -> str:
        where = f"{where},gen_ai_token_type={quoted(direction)}"
        return f"sum(rate(gen_ai_client_token_usage_sum{{{where}}}[{window}]))"

    for direction in ("input", "output"):
        yield Record("corral:tokens:rate5m", used(of, direction, "5m"), {**labels, "direction": direction})
    costs = [
        f"({used(f'{of},gen_ai_request_model={quoted(model_id)}', direction, '1h')} or vector(0))"
        f" * {micro_dollars * 3600} / {_MILLION * _MILLION}"
        for model_id, targets in by_id(model).items()
        if len({target.price for target in targets}) == 1 and (price := targets[0].price)
        for direction, micro_dollars in _prices(price)
    ]
    if costs:
        yield Record("corral:cost_dollars:per_hour", " + ".join(costs), labels)


def _prices(price: Price) -> Iterator[tuple[str, int]]:
    """By the type that Envoy AI Gateway gives tokens; those of `input` have the cached ones among them."""
    yield from (("input", price.input), ("output", price.output))
    if price.cached_input is not None:
        yield "cached_input", price.cached_input - price.input


def _shares(model: ModelPlan, answers: str, labels: Mapping[str, str]) -> Iterator[Record]:
    """`answers`: the count of the model's answers, its last brace open."""
    for model_id, targets in by_id(model).items():
        host = {**labels, "host": ", ".join(target.host for target in targets)}
        yield Record(
            "corral:observed_share:percent",
            f"100 * (sum(rate({answers},gen_ai_request_model={quoted(model_id)}}}[30m])) or vector(0))"
            f" / (sum(rate({answers}}}[30m])) > 0)",
            host,
        )
        yield Record("corral:declared_share:percent", f"vector({sum(target.share for target in targets)})", host)


def by_id(model: ModelPlan) -> dict[str, list[Target]]:
    """The hosts that have the same id of the model."""
    targets: defaultdict[str, list[Target]] = defaultdict(list)
    for target in model.targets:
        targets[target.model_id].append(target)
    return dict(targets)
