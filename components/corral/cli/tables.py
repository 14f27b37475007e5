"""The tables of `plan`, `status` and `serve`, and what an edit changes for tenants, in lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from corral.cli.terminal import Sheet
from corral.config.problems import number, size
from corral.plan.callers import Rate, TenantPlan
from corral.plan.capacity import Headroom
from corral.plan.checks.findings import Finding
from corral.plan.checks.peaks import SHORT, amount
from corral.plan.checks.ramps import Stair
from corral.plan.diff import IssuerMove, TenantLimit, TenantMove
from corral.plan.money import (
    Blended,
    Monthly,
    Sums,
    Unpriced,
    blended,
    break_even,
    budget_text,
    dollars,
    dollars_and_cents,
    monthly,
    sums,
)
from corral.plan.plan import Load, ModelPlan, Plan, Target

if TYPE_CHECKING:
    from corral.local.budgets import BudgetStatus
    from corral.local.statistics.status import HostStatus, ModelStatus

_MANY = 5
"""More models than this are not spelled out."""

_UNLIMITED = "–"

_LIMITS = {
    "requests_per_minute": "requests a minute",
    "tokens_per_minute": "tokens a minute",
    "concurrent_requests": "requests at a time",
    "body_limit": "body",
    "day_budget": "budget a day",
    "month_budget": "budget a month",
}


def tenants_table(plan: Plan) -> Sheet:
    """Per tenant what it may ask for, where that is processed, how much it may have, and how it is identified."""
    left = ("PRIORITY", "PROCESSED IN", "IDENTIFIED BY")
    numbers = ("REQUESTS/MIN", "TOKENS/MIN", "CONCURRENT", "BODY")
    sheet = Sheet("TENANT", "MODELS", *numbers, *left, titles=1, left=left)
    for tenant in plan.tenants:
        sheet.group(tenant.name)
        sheet.row(
            "all" if len(tenant.models) == len(plan.models) else _models(tenant.models),
            *_rate(tenant.rate),
            _UNLIMITED if tenant.concurrent is None else number(tenant.concurrent),
            size(plan.request_settings.body_limit if tenant.body_limit is None else tenant.body_limit),
            tenant.priority,
            ", ".join(tenant.residency) if tenant.residency else "",
            _identified_by(tenant, plan),
        )
        for model, rate in tenant.rates:
            sheet.row(f"of {model}", *_rate(rate), *[""] * 5)
    return sheet


def _rate(rate: Rate) -> tuple[str, str]:
    requests, tokens = (_UNLIMITED if each is None else number(each) for each in (rate.requests, rate.tokens))
    return requests, tokens


def _identified_by(tenant: TenantPlan, plan: Plan) -> str:
    count = len(tenant.keys)
    keys = [f"{count} key{'' if count == 1 else 's'}"] if count and plan.engine == "local" else []
    own = ["a key of the cluster"] if plan.engine == "kubernetes" else []
    return ", ".join([*keys, *own, *(f"claim {claim}" for claim in tenant.claims)]) or "no key in the stack"


def _models(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return f"{', '.join(names[:_MANY])}{more}"


def issuer_line(move: IssuerMove) -> str:
    """`issuer https://login.example.com/ (added)`."""
    return f"issuer {move.issuer} ({move.change})"


def tenant_lines(move: TenantMove) -> Iterator[str]:
    """A tenant's move: its name, and below it what is different."""
    yield f"tenant {move.tenant}{'' if move.change == 'changed' else f' ({move.change})'}"
    if move.change == "removed":
        return
    facts = [*_facts(move)]
    width = max((len(what) for what, _ in facts), default=0)
    for what, text in facts:
        yield f"  {what:<{width}}  {text}"


def _facts(move: TenantMove) -> Iterator[tuple[str, str]]:
    if move.allowed or move.withdrawn:
        signed = (f"{sign} {_models(names)}" for sign, names in (("+", move.allowed), ("-", move.withdrawn)) if names)
        yield "models", ", ".join(signed)
    for limit in move.limits:
        of = f" of {limit.model}" if limit.model else ""
        yield f"{_LIMITS[limit.name]}{of}", _moved(move, _amount(limit, limit.before), _amount(limit, limit.after))
    before, after = move.before, move.after
    if after is None:
        return
    if (before and before.residency) != after.residency:
        yield "places", _moved(move, _places(before and before.residency), _places(after.residency))
    if (before.priority if before else "normal") != after.priority:
        yield "priority", _moved(move, before.priority if before else "", after.priority)
    was, at_limit = before.at_limit if before else None, after.at_limit
    if (was or "refuse") != (at_limit or "refuse"):
        yield "at its budget", _moved(move, was or "refuse", at_limit or "refuse")
    if keys := [
        f"{count} {what}" for count, what in ((move.keys_added, "added"), (move.keys_removed, "removed")) if count
    ]:
        yield "keys", ", ".join(keys)
    old, new = set(before.claims if before else ()), set(after.claims)
    if claims := [*(f"+ {claim}" for claim in sorted(new - old)), *(f"- {claim}" for claim in sorted(old - new))]:
        yield "claims", ", ".join(claims)


def _moved(move: TenantMove, before: str, after: str) -> str:
    return f"{before} → {after}" if move.change == "changed" else after


def _amount(limit: TenantLimit, value: int | None) -> str:
    if value is None:
        return "unlimited"
    if limit.name in ("day_budget", "month_budget"):
        return dollars(value)
    return size(value) if limit.name == "body_limit" else number(value)


def _places(residency: tuple[str, ...] | None) -> str:
    return ", ".join(residency) if residency else "anywhere"


_LEVEL_STYLE = {"error": "bold red", "warning": "yellow", "note": "dim"}


def _role(target: Target) -> str:
    if target.priority > 0:
        return f"fallback {target.priority}"
    return f"{target.share}%" if target.live else "0% (drained)"


def plan_table(plan: Plan) -> Sheet:
    """Per model and host: share, price, id at the host, regions."""
    sheet = Sheet("MODEL", "HOST", "SHARE", "IN $/M", "OUT $/M", titles=1)
    for model in plan.models:
        sheet.group(model.name)
        for target in model.targets:
            sheet.row(
                target.host,
                _role(target),
                dollars(target.price.input) if target.price else "unknown",
                dollars(target.price.output) if target.price else "unknown",
                remark=f"{target.model_id}, processed in {', '.join(target.reaches or ['unknown regions'])}",
                style="" if target.live else "dim",
            )
        sheet.row("blended", "", *_blended(model), remark=_by_month(model), style="bold")
    return sheet


def sums_text(month: Sums) -> str:
    """`$1,296.00 to $2,592.00 a month for tokens, $7,659.89 for GPU nodes; unknown: llama-3.3-70b at lab`."""
    nodes = f", {_range(month.nodes)} for GPU nodes" if month.nodes.most else ""
    unknown = f"; unknown: {', '.join(month.unknown)}" if month.unknown else ""
    return f"{_range(month.tokens)} a month for tokens{nodes}{unknown}"


def _range(month: Monthly) -> str:
    return " to ".join(dict.fromkeys((dollars_and_cents(month.least), dollars_and_cents(month.most))))


def money_lines(plan: Plan) -> Iterator[str]:
    """What a month of the stack costs, its nodes apart, and from how many tokens on they are worth it; what tenants
    may spend."""
    if month := sums(plan):
        yield f"All of it: {sums_text(month)}."
    for nodes in plan.nodes:
        count = f"{nodes.least}" if nodes.least == nodes.most else f"{nodes.least} to {nodes.most}"
        price = f"{dollars(nodes.hourly)} an hour each" if nodes.hourly is not None else "at an unknown price"
        yield f"{nodes.host}: {count} × {nodes.instance}, {price}, whatever they answer."
    for even in break_even(plan):
        least, most = (f"{number(-(-each // 10**6))}M" if each else "" for each in (even.least, even.most))
        tokens = least if most in ("", least) else f"{least} to {most}"
        yield f"{even.host} costs less than {even.against} from {tokens} tokens of {even.model} a month on."
    for tenant in plan.tenants:
        if tenant.budget:
            yield f"{tenant.name}: {budget_text(tenant.budget)}."


def headroom_table(models: Sequence[Headroom]) -> Sheet:
    """Per model the share of the peak that each host is to get, and how much of what the host takes that is."""
    sheet = Sheet("PEAK OF", "HOST", "GETS", "TAKES", "USED", titles=1)
    for model in models:
        sheet.group(model.model)
        for host in model.offered:
            takes = amount(host.limit, SHORT) if host.limit != Load() else "unknown"
            over = (host.percent or 0) > 100
            used = "unknown" if host.percent is None else Text(f"{host.percent}%", style="red" if over else "")
            sheet.row(host.host, amount(host.load, SHORT), takes, used)
    return sheet


_VERDICTS = {"carries": ("yes", "green"), "does not": ("no", "bold red"), "unknown": ("unknown", "yellow")}


def losses_table(models: Sequence[Headroom]) -> Sheet:
    """Per model whether the peak is carried with each loss, and by whom."""
    sheet = Sheet("PEAK OF", "LOST", "UNSERVED", "CARRIED", titles=1, left=("CARRIED",))
    for model in models:
        sheet.group(model.model)
        for case in model.cases:
            lost = case.lost if case.without in ((), (case.lost,)) else f"{case.lost}: {', '.join(case.without)}"
            sheet.row(
                lost or "nothing",
                amount(case.unserved, SHORT) if any(vars(case.unserved).values()) else "nothing",
                Text(*_VERDICTS[case.verdict]),
                remark=", ".join(f"{host.host} {amount(host.load, SHORT)}" for host in case.hosts),
            )
    return sheet


def ramps_table(stairs: Sequence[Stair], accepted: tuple[str, ...]) -> Sheet:
    """Per model the stairs of its ramp: what a month costs there, and whether the peak is carried."""
    sheet = Sheet("RAMP OF", "STAIR", "IN $/M", "OUT $/M", "CARRIED", titles=1, left=("CARRIED",))
    for model, flight in groupby(stairs, lambda stair: stair.model):
        sheet.group(model)
        for stair in flight:
            price = _price(stair.price)
            failing = stair.failing(accepted)
            verdicts = {case.verdict for case in stair.cases}
            verdict = "does not" if failing else "unknown" if "unknown" in verdicts else "carries"
            sheet.row(
                ", ".join(f"{host} {share}%" for host, share in stair.shares.items()),
                *price,
                Text(*_VERDICTS[verdict]) if stair.cases else "no peak",
                remark="; ".join(filter(None, (_month(stair.month), ", ".join(failing), "now" * stair.current))),
                style="bold" if stair.current else "",
            )
    return sheet


def _by_month(model: ModelPlan) -> str:
    return _month(monthly(model))


def _month(cost: Monthly | Unpriced | None) -> str:
    if isinstance(cost, Monthly):
        return f"{dollars_and_cents(cost.least)} to {dollars_and_cents(cost.most)} a month"
    return ""


def _blended(model: ModelPlan) -> tuple[str, str]:
    return _price(blended(model))


def _price(price: Blended | Unpriced) -> tuple[str, str]:
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


def status_table(models: Sequence[ModelStatus]) -> Sheet:
    """Declared beside observed."""
    heads = ("MODEL", "HOST", "DECLARED", "OBSERVED", "REQUESTS", "FAILED ATTEMPTS", "P50", "P99", "STATE")
    sheet = Sheet(*heads, titles=1, left=("STATE",))
    for model in models:
        sheet.group(model.model, notes=_totals(model))
        for host in model.hosts:
            sheet.row(
                host.host,
                f"{host.declared}%" if host.role != "fallback" else "fallback",
                "–" if host.observed is None else f"{host.observed:.1f}%",
                str(host.requests),
                Text(str(host.failed_attempts), style="yellow" if host.failed_attempts else ""),
                _milliseconds(host.p50),
                _milliseconds(host.p99),
                _state(host),
                remark=f"simulated: {host.simulated}" if host.simulated else "",
                style="dim" if host.role == "drained" else "",
            )
    return sheet


def budgets_table(budgets: Sequence[BudgetStatus]) -> Sheet:
    """Per tenant what it has used of what it may spend."""
    sheet = Sheet("TENANT", "BUDGET OF THE", "LIMIT", "USED", "LEFT", titles=1, left=("BUDGET OF THE",))
    for tenant, windows in groupby(budgets, lambda each: each.tenant):
        sheet.group(tenant)
        for each in windows:
            left = each.limit - each.used
            amounts = (dollars_and_cents(amount) for amount in (each.limit, each.used))
            sheet.row(each.window, *amounts, dollars_and_cents(left) if left > 0 else Text("none", style="red"))
    return sheet


LEGEND = "Server errors: 5xx, or no whole answer. Client errors: 4xx."


def _totals(model: ModelStatus) -> tuple[Text, ...]:
    if not model.requests:
        return ()
    errors = f"{model.server_errors} server, {model.client_errors} client errors"
    return Text(f"{model.requests} requests"), Text(errors, style="red" if model.server_errors else "green")


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"


def _state(host: HostStatus) -> Text:
    if host.role == "drained":
        return Text("drained")
    return Text("ejected", style="bold red") if host.ejected else Text("ok", style="green")
