"""Who calls, as the gateway says it in `TENANT_HEADER`, and how a rule tells a tenant by that.

An API key gives the name under which it lies in the tenants' secret: `search` for the first key of search, `search.2`
for its second.  No tenant's name has a dot in it.  A token gives the value of its issuer's claim.  A stack that has
issuers has tokens alone, as the gateway asks everybody for a key once it asks anybody (Envoy Gateway 1.8.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from components.plan.plan import Plan
from components.render.gateway_api.names import TENANT_HEADER

_ANOTHER_KEY = "([.][0-9]+)?"


@dataclass(frozen=True)
class Caller:
    """One tenant, as the header says it."""

    values: tuple[str, ...]
    """Each of them whole."""
    pattern: str
    """A regular expression (RE2) that is matched whole: those values, of keys also values to come, so that a key is
    its tenant's from the moment it is there."""


def key_names(tenant: str, count: int) -> tuple[str, ...]:
    """The names of a tenant's API keys in the secret."""
    return (tenant, *(f"{tenant}.{number}" for number in range(2, count + 1)))


def callers(plan: Plan, keys: Mapping[str, int]) -> dict[str, Caller]:
    """By tenant; `keys`: how many API keys those tenants have that were given any, all others having one."""
    if plan.issuers:
        return {tenant.name: Caller(tenant.claims, either(map(re.escape, tenant.claims))) for tenant in plan.tenants}
    return {
        tenant.name: Caller(key_names(tenant.name, keys.get(tenant.name, 1)), f"{tenant.name}{_ANOTHER_KEY}")
        for tenant in plan.tenants
    }


def called_by(found: Iterable[Caller]) -> dict[str, str]:
    """How a rule tells requests of these callers."""
    return {"type": "RegularExpression", "name": TENANT_HEADER, "value": either(caller.pattern for caller in found)}


def either(patterns: Iterable[str]) -> str:
    """The regular expression that matches what any of these does."""
    return "|".join(patterns)
