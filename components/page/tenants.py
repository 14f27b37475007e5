"""What the page shows of each tenant, as a part of the state; what is unknown is absent.

    tenants.<name>              rps tps cost errors limited.<limit> active concurrent

`limited` holds the limits that have refused any request, with how many: `requests` and `tokens` of a minute,
`concurrent`.  `errors` are the other requests that ended in a 4xx, a 5xx or no answer at all.  `active` are the
requests under way, and `concurrent` is their limit; a tenant without that limit is not counted and has neither.

A cost is unknown where any of the tenant's tokens has no known price, or was not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from components.embedded.readings import Key
from components.page.delta import State
from components.page.look import Look
from components.page.pace import cost, rate
from components.page.tally import Tally, limited, tally_of_tenants, whole
from components.page.window import Window
from components.plan.plan import Price, TenantPlan

Where = tuple[str, str]
"""A model and a host."""


def tenants_of(look: Look, rates: Window[Key], lately: Window[Key]) -> State:
    """By name; empty where the stack declares none."""
    now, late, refused = tally_of_tenants(rates.total), tally_of_tenants(lately.total), limited(lately.total)
    prices = {(model.name, target.host): target.price for model in look.plan.models for target in model.targets}

    def state(tenant: TenantPlan) -> State:
        name = tenant.name
        asked, ended = whole(now.get(name, {}).values()), whole(late.get(name, {}).values())
        by_limit = refused.get(name, Counter[str]())
        answered = {where: of for where, of in late.get(name, {}).items() if where in prices}
        uncounted = any(of.uncounted for of in answered.values())
        spent = None if uncounted else _spent(answered, prices, lately.span)
        return {
            "rps": rate(asked.requests, rates.span),
            **({} if uncounted else {"tps": rate(asked.input + asked.output, rates.span)}),
            **({} if spent is None else {"cost": spent}),
            "errors": max(0, ended.errors - by_limit.total()),
            "limited": dict(by_limit),
            **(
                {}
                if tenant.concurrent is None
                else {"active": look.under_way.get(name, 0), "concurrent": tenant.concurrent}
            ),
        }

    return {tenant.name: state(tenant) for tenant in look.plan.tenants}


def _spent(answered: Mapping[Where, Tally], prices: Mapping[Where, Price | None], seconds: float) -> int | None:
    """Micro-dollars an hour; None: there are tokens whose price is unknown."""
    spent = 0
    for where, of in answered.items():
        price = prices[where]
        if price is not None:
            spent += cost(price, of, seconds)
        elif of.input or of.output:
            return None
    return spent
