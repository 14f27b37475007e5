"""A Grafana dashboard over the recorded names: one for all stacks, whichever engine serves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_WIDTH, _HEIGHT = 12, 8
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WHERE = '{stack=~"$stack",model=~"$model"}'


class _Panel(NamedTuple):
    title: str
    unit: str
    """Grafana's name of it."""
    about: str
    legends: Mapping[str, str]
    """The legend of each expression."""


_MODEL = "{{stack}} {{model}}"
_HOST = f"{_MODEL}: {{{{host}}}}"

_PANELS = (
    _Panel("Requests", "reqps", "As clients see them.", {"corral:requests:rate5m": _MODEL}),
    _Panel(
        "Errors",
        "percentunit",
        "Requests that ended in a 5xx, or in no answer or half of one.",
        {"corral:error_ratio:rate5m": _MODEL},
    ),
    _Panel(
        "Shares",
        "percent",
        "Observed in the last half hour, beside declared.",
        {"corral:observed_share:percent": f"{_HOST} observed", "corral:declared_share:percent": f"{_HOST} declared"},
    ),
    _Panel("Ejected hosts", "short", "1 while a host is ejected: it fails.", {"corral:ejected": _HOST}),
    _Panel(
        "Duration",
        "s",
        "Until the answer was complete.",
        {"corral:duration_seconds:p50": f"{_MODEL} p50", "corral:duration_seconds:p99": f"{_MODEL} p99"},
    ),
    _Panel("First byte", "s", "Until the answer began, p50.", {"corral:first_byte_seconds:p50": _MODEL}),
    _Panel("Tokens", "short", "A second.", {"corral:tokens:rate5m": f"{_MODEL} {{{{direction}}}}"}),
    _Panel(
        "Cost per hour",
        "currencyUSD",
        "Of the tokens whose price is known.",
        {"corral:cost_dollars:per_hour": _MODEL},
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    source = {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
    return {
        "title": "Corral",
        "uid": "corral",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, _variable("stack"), _variable("model")]},
        "annotations": {"list": [_moves()]},
        "panels": [_panel(number, panel) for number, panel in enumerate(_PANELS)],
    }


def _variable(label: str) -> dict[str, Any]:
    return {
        "name": label,
        "label": label.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": f"label_values(corral:requests:rate5m, {label})",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _moves() -> dict[str, Any]:
    """Marks on every panel where a declared share changed."""
    return {
        "name": "Moves",
        "enable": True,
        "datasource": _SOURCE,
        "expr": f"changes(corral:declared_share:percent{_WHERE}[1m]) > 0",
        "titleFormat": "{{model}}: the share of {{host}} was moved",
        "iconColor": "blue",
    }


def _panel(number: int, panel: _Panel) -> dict[str, Any]:
    row, column = divmod(number, 2)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": f"{expression}{_WHERE}",
                "legendFormat": legend,
            }
            for place, (expression, legend) in enumerate(panel.legends.items())
        ],
    }
