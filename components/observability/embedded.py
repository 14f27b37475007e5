"""The recorded names on the embedded engine, from Corral's own metrics."""

from __future__ import annotations

from collections.abc import Iterator

from components.observability.recorded import WINDOWS, Record, quoted
from components.plan.plan import Plan

_OF = "by (stack, model)"
_SOME = 'model!~"|-"'
"""Of a model that there is; a request for another one counts without."""


def records(plan: Plan) -> Iterator[Record]:
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
