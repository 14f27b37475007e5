"""The rules of a stack, as Prometheus reads them from a file (`rule_files`); JSON is YAML."""

from __future__ import annotations

from typing import Any

from components.observability import embedded, kubernetes
from components.observability.alerts import OBJECTIVE, alerts
from components.plan.plan import Plan


def rules(plan: Plan, objective: float = OBJECTIVE, budget: float | None = None) -> dict[str, Any]:
    """Recording and alerting rules; `objective` in percent, `budget` in dollars a month."""
    records = embedded.records(plan) if plan.engine == "embedded" else kubernetes.records(plan)
    return {
        "groups": [
            {"name": f"corral {plan.stack} records", "rules": [record.rule() for record in records]},
            {"name": f"corral {plan.stack} alerts", "rules": list(alerts(plan, objective, budget))},
        ]
    }
