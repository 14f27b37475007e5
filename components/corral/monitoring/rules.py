"""The rules of a stack, as Prometheus reads them from a file (`rule_files`); JSON is YAML.

Alerts read the recorded names alone and are the same for both engines, but for a stack file that is refused, and for
what tenants have spent of a budget: those are the local engine's alone.  Those of errors follow the burn rates of the
SRE workbook (Alerting on SLOs, multiwindow, multi-burn-rate): an objective allows a part of a month's requests to fail;
a burn rate of 14.4 would use up a month's part in two days.  The long window says that it matters, the short one that
it has not ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from corral.monitoring.records import quoted, records
from corral.plan.money import Monthly, monthly
from corral.plan.plan import Plan

Rule = dict[str, Any]

OBJECTIVE = 99.9
"""Percent of a month's requests that are answered."""

_DRIFT_POINTS = 10
"""The difference of a declared and an observed share that is an alert."""

_NEARLY_USED = 0.9
"""Of a tenant's budget."""

_MONTH_HOURS = 730
_MILLION = 1_000_000


class _Burn(NamedTuple):
    rate: float
    long: str
    short: str
    severity: str


_BURNS = (_Burn(14.4, "1h", "5m", "page"), _Burn(6, "6h", "30m", "page"), _Burn(1, "3d", "6h", "ticket"))


def rules(plan: Plan, objective: float = OBJECTIVE, budget: float | None = None) -> dict[str, Any]:
    """Recording and alerting rules; `objective` in percent, `budget` in dollars a month for all models together."""
    return {
        "groups": [
            {"name": f"corral {plan.stack} records", "rules": [record.rule() for record in records(plan)]},
            {"name": f"corral {plan.stack} alerts", "rules": list(_alerts(plan, objective, budget))},
        ]
    }


def _alerts(plan: Plan, objective: float, budget: float | None) -> Iterator[Rule]:
    stack = f"stack={quoted(plan.stack)}"
    for burn in _BURNS:
        yield _burning(stack, burn, objective)
    yield _alert(
        "CorralHostEjected",
        f"max by (stack, model, host) (corral:ejected{{{stack}}}) > 0",
        "{{ $labels.host }} is left out of {{ $labels.model }} for failing; the other hosts serve its share.",
        lasting="5m",
    )
    yield _alert(
        "CorralShareDrift",
        f"abs(corral:observed_share:percent{{{stack}}}"
        f" - on (stack, model, host) corral:declared_share:percent) > {_DRIFT_POINTS}"
        " and on (stack, model) corral:requests:rate30m > 0.1",
        "{{ $labels.host }} serves {{ $value | printf `%.0f` }} points off its share of {{ $labels.model }}.",
        lasting="15m",
    )
    for model in plan.models:
        expected = monthly(model)
        if isinstance(expected, Monthly):
            where = f"{stack},model={quoted(model.name)}"
            spent = f"sum by (stack, model) (corral:cost_dollars:per_hour{{{where}}})"
            yield _over_budget(spent, expected.most / _MILLION, model=model.name)
    if budget is not None:
        yield _over_budget(f"sum by (stack) (corral:cost_dollars:per_hour{{{stack}}})", budget)
    if plan.engine == "local":
        yield _alert(
            "CorralStackFileRefused",
            f"min by (stack) (corral_config_last_reload_successful{{{stack}}}) == 0",
            "What the stack file of {{ $labels.stack }} holds is not in force: see corral status.",
            lasting="5m",
        )
        if any(tenant.budget for tenant in plan.tenants):
            yield _alert(
                "CorralTenantBudget",
                f"max by (stack, tenant, window) (corral_budget_used_dollars{{{stack}}}"
                f" / corral_budget_limit_dollars) > {_NEARLY_USED}",
                "{{ $labels.tenant }} has used {{ $value | humanizePercentage }} of its budget of the "
                "{{ $labels.window }}.",
            )
    yield _alert(
        "CorralNothingCounted",
        f"absent(corral:requests:rate5m{{{stack}}})",
        f"Nothing is known of the requests of {plan.stack}: is it being served, and scraped?",
        lasting="15m",
    )


def _burning(stack: str, burn: _Burn, objective: float) -> Rule:
    limit = f"{burn.rate * (100 - objective) / 100:.6g}"
    return _alert(
        "CorralErrorBudgetBurns",
        f"corral:error_ratio:rate{burn.long}{{{stack}}} > {limit}"
        f" and on (stack, model) corral:error_ratio:rate{burn.short} > {limit}",
        f"{{{{ $labels.model }}}} loses {{{{ $value | humanizePercentage }}}} of its requests (last {burn.long}): "
        f"{burn.rate:g} times what an objective of {objective:g}% allows.",
        severity=burn.severity,
        window=burn.long,
    )


def _over_budget(spent: str, dollars: float, **labels: str) -> Rule:
    return _alert(
        "CorralBudget",
        f"{spent} * {_MONTH_HOURS} > {dollars:.6g}",
        "{{ with $labels.model }}{{ . }}{{ else }}The stack{{ end }} spends at a pace of "
        f"${{{{ $value | printf `%.0f` }}}} a month; ${dollars:,.0f} are meant.",
        lasting="1h",
        **labels,
    )


def _alert(
    name: str, expression: str, summary: str, *, lasting: str | None = None, severity: str = "ticket", **labels: str
) -> Rule:
    return {
        "alert": name,
        "expr": expression,
        **({"for": lasting} if lasting else {}),
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary},
    }
