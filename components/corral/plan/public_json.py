"""A plan as plain data, and its hash: the same bytes for the same plan on every machine and in every run."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import date
from hashlib import sha256

from pydantic.alias_generators import to_camel

from corral.plan.plan import (
    Credential,
    Fit,
    Issuer,
    Lifecycle,
    Limits,
    Misfit,
    ModelPlan,
    Plan,
    Price,
    Rate,
    Target,
    TenantPlan,
    Unserved,
)

Json = dict[str, "Json"] | list["Json"] | str | int | bool | None
Part = (
    Plan
    | Limits
    | ModelPlan
    | Target
    | Unserved
    | Credential
    | Lifecycle
    | Price
    | Fit
    | Misfit
    | TenantPlan
    | Rate
    | Issuer
)
Value = Part | tuple["Value", ...] | frozenset[str] | date | str | int | bool | None


def to_json(plan: Plan) -> dict[str, Json]:
    """The whole plan in JSON's types: camelCase keys, sets as sorted lists, days as `2026-07-06`, unknown as null."""
    return _object(plan)


def content_hash(plan: Plan) -> str:
    """SHA-256 in hexadecimal of the whole plan: it changes with anything the plan says, and with nothing else."""
    canonical = json.dumps(to_json(plan), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(canonical.encode()).hexdigest()


def _object(part: Part) -> dict[str, Json]:
    public = [field.name for field in fields(part) if field.metadata.get("public", True)]
    return {to_camel(name): _value(getattr(part, name)) for name in public}


def _value(value: Value) -> Json:
    match value:
        case tuple():
            return [_value(item) for item in value]
        case frozenset():
            return [*sorted(value)]
        case date():
            return value.isoformat()
        case None | str() | int():
            return value
        case _:
            return _object(value)
