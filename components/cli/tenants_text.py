"""Tenants at the terminal: who may call, with their limits, as a table; and what an edit changes for them, in lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from components.plan.plan import Plan, Rate, TenantPlan
from components.plan.prose import number, size
from components.plan.tenant_moves import IssuerMove, TenantLimit, TenantMove

_MANY = 5
"""More models than this are not spelled out."""

_UNLIMITED = "–"

_LIMITS = {
    "requests_per_minute": "requests a minute",
    "tokens_per_minute": "tokens a minute",
    "concurrent_requests": "requests at a time",
    "body_limit": "body",
}


def tenants_table(plan: Plan) -> Table:
    """Per tenant what it may ask for, where that is processed, how much it may have, and how it is known."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "TENANT",
        "MODELS",
        "REQUESTS/MIN",
        "TOKENS/MIN",
        "AT A TIME",
        "BODY",
        "PRIORITY",
        "PLACES",
        "KNOWN BY",
    ):
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for tenant in plan.tenants:
        table.add_row(
            tenant.name,
            "all" if len(tenant.models) == len(plan.models) else _models(tenant.models),
            *_rate(tenant.rate),
            _UNLIMITED if tenant.concurrent is None else number(tenant.concurrent),
            size(plan.limits.body_limit if tenant.body_limit is None else tenant.body_limit),
            tenant.priority,
            ", ".join(tenant.residency) if tenant.residency else "",
            _known_by(tenant, plan),
        )
        for model, rate in tenant.rates:
            table.add_row("", f"of {model}", *_rate(rate))
    return table


_NUMBERS = ("REQUESTS/MIN", "TOKENS/MIN", "AT A TIME", "BODY")


def _rate(rate: Rate) -> tuple[str, str]:
    requests, tokens = (_UNLIMITED if each is None else number(each) for each in (rate.requests, rate.tokens))
    return requests, tokens


def _known_by(tenant: TenantPlan, plan: Plan) -> str:
    count = len(tenant.keys)
    keys = [f"{count} key{'' if count == 1 else 's'}"] if count and plan.engine == "embedded" else []
    made = ["a key of the cluster"] if plan.engine == "kubernetes" else []
    return ", ".join([*keys, *made, *(f"claim {claim}" for claim in tenant.claims)]) or "no key in the stack"


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
    for what, said in facts:
        yield f"  {what:<{width}}  {said}"


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
    return size(value) if limit.name == "body_limit" else number(value)


def _places(residency: tuple[str, ...] | None) -> str:
    return ", ".join(residency) if residency else "anywhere"
