"""How much a tenant may use in a minute: one policy, on the Gateway, counted in Redis for all Envoys together.

Each rule is `shared`.  Otherwise Envoy Gateway counts each rule of each route for itself, and a tenant would have its
limit once per model, and again while a model has two routes.  A tenant's requests are counted when they come.  Tokens
are looked at when a request comes and counted when its answer has been given.

The policies of models have to be merged with this one, or it would hold for none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.plan.plan import Plan, Rate
from components.render.gateway_api.callers import Caller, called_by
from components.render.gateway_api.names import METADATA, MODEL_HEADER

TOTAL_TOKENS = "total_tokens"

TOKEN_COSTS = [{"metadataKey": TOTAL_TOKENS, "type": "TotalToken"}]
"""What Envoy AI Gateway is to count for limits of tokens."""


def has_limits(plan: Plan) -> bool:
    """Whether any tenant has limits that are counted by the minute."""
    return any(rate != Rate() for rate in _rates(plan))


def has_token_limits(plan: Plan) -> bool:
    """Whether any of them is one of tokens."""
    return any(rate.tokens for rate in _rates(plan))


def rules(plan: Plan, callers: Mapping[str, Caller]) -> list[dict[str, Any]]:
    """In order of tenant and model, those of a tenant over all models first."""
    return [
        rule
        for tenant in plan.tenants
        for model, rate in ((None, tenant.rate), *tenant.rates)
        for rule in _rules(callers[tenant.name], model, rate)
    ]


def _rates(plan: Plan) -> Iterator[Rate]:
    for tenant in plan.tenants:
        yield from (tenant.rate, *dict(tenant.rates).values())


def _rules(caller: Caller, model: str | None, rate: Rate) -> Iterator[dict[str, Any]]:
    of_model = [{"type": "Exact", "name": MODEL_HEADER, "value": model}] if model else []
    selected = {"clientSelectors": [{"headers": [called_by([caller]), *of_model]}], "shared": True}
    if rate.requests:
        yield {**selected, "limit": _a_minute(rate.requests)}
    if rate.tokens:
        used = {"from": "Metadata", "metadata": {"namespace": METADATA, "key": TOTAL_TOKENS}}
        cost = {"request": {"from": "Number", "number": 0}, "response": used}
        yield {**selected, "limit": _a_minute(rate.tokens), "cost": cost}


def _a_minute(most: int) -> dict[str, Any]:
    return {"requests": most, "unit": "Minute"}
