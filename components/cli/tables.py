"""The tables of `plan`, `status` and `up`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from components.checks.findings import Finding
from components.embedded.status import HostStatus, ModelStatus
from components.plan.money import Monthly, Unpriced, blended, dollars, dollars_and_cents, monthly
from components.plan.plan import ModelPlan, Plan, Target

_LEVEL_STYLE = {"error": "bold red", "warning": "yellow", "note": "dim"}


def _role(target: Target) -> str:
    if target.priority > 0:
        return f"fallback {target.priority}"
    return f"{target.share}%" if target.live else "0% (drained)"


def plan_table(plan: Plan, here: Mapping[str, str]) -> Table:
    """Per model and host: share, id, regions, price; `here` says per host whether it is real on this machine."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("MODEL", "HOST", "SHARE", "ID AT THE HOST", "PROCESSED IN", "IN $/M", "OUT $/M", "ON THIS MACHINE"):
        table.add_column(name, justify="right" if "$" in name or name == "SHARE" else "left", overflow="fold")
    for model in plan.models:
        for index, target in enumerate(model.targets):
            table.add_row(
                model.name if index == 0 else "",
                target.host,
                _role(target),
                target.model_id,
                ", ".join(target.reaches) if target.reaches is not None else "unknown",
                dollars(target.price.input) if target.price else "unknown",
                dollars(target.price.output) if target.price else "unknown",
                here.get(target.host, ""),
                style=None if target.live else "dim",
            )
        table.add_row("", "", "", "", _blended_label(model), *_blended(model), "", style="bold", end_section=True)
    return table


def _blended_label(model: ModelPlan) -> str:
    cost = monthly(model)
    if isinstance(cost, Monthly):
        return f"blended; {dollars_and_cents(cost.least)} to {dollars_and_cents(cost.most)} a month"
    return "blended"


def _blended(model: ModelPlan) -> tuple[str, str]:
    price = blended(model)
    if isinstance(price, Unpriced):
        return ("unknown", "unknown")
    return (dollars(price.input), dollars(price.output))


def findings_text(findings: Iterable[Finding]) -> Text:
    """The findings, one a line."""
    text = Text()
    for finding in findings:
        accepted = " (accepted)" if finding.accepted else ""
        text.append(f"{finding.level}{accepted}", style="dim" if finding.accepted else _LEVEL_STYLE[finding.level])
        text.append(f" {finding.name}: {finding.message}; {finding.way_out}" + "\n")
    return text


def status_table(models: Sequence[ModelStatus]) -> Table:
    """Declared beside observed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("MODEL", "HOST", "DECLARED", "OBSERVED", "REQUESTS", "FAILED TRIES", "P50", "P99", "HEALTH"):
        table.add_column(name, justify="left" if name in ("MODEL", "HOST", "HEALTH") else "right", no_wrap=True)
    table.add_column()  # the only one that is cut where the terminal is narrow
    for model in models:
        for index, host in enumerate(model.hosts):
            table.add_row(
                model.model if index == 0 else _lost(model) if index == 1 else "",
                host.host,
                f"{host.declared}%" if host.role != "fallback" else "fallback",
                "–" if host.observed is None else f"{host.observed:.1f}%",
                str(host.requests),
                Text(str(host.failures), style="yellow" if host.failures else ""),
                _milliseconds(host.p50),
                _milliseconds(host.p99),
                _health(host),
                _simulated(host),
                style="dim" if host.role == "drained" else None,
            )
        if len(model.hosts) == 1:
            table.add_row(_lost(model))
    return table


def _simulated(host: HostStatus) -> Text:
    why = f"simulated: {host.simulated}" if host.simulated else ""
    return Text(why, style="dim", no_wrap=True, overflow="ellipsis")


def _lost(model: ModelStatus) -> Text:
    if not model.requests:
        return Text("")
    return Text(f"  {model.requests} requests, {model.errors} failed", style="red" if model.errors else "green")


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"


def _health(host: HostStatus) -> Text:
    if host.role == "drained":
        return Text("drained")
    return Text("ok", style="green") if host.healthy else Text("left out", style="bold red")
