"""What ties a request to the plan that sent it where it went: the hash of a model's routing, and its headers.

Policy.  The hash is of one model, and of what decides where its requests go: its hosts with their ids, weights,
priorities and regions, and the residency of the tenants that have one.  So an edit of one model's shares gives that
model another hash and no other one, and neither a price nor a date of the catalog does.  Both engines write it into the
log; the local one the commit too, for it may change without a cost.  On a cluster a commit in the answers would be an
edit of every model's route with each commit: there it is an output of the stack, and `corral why` finds the commit by
the hash.
"""

from __future__ import annotations

import json
from hashlib import sha256

from corral.plan.plan import ModelPlan, Plan
from corral.plan.public_json import Json, content_hash, to_json

PLAN_HEADER = "x-corral-plan"
"""Tells the client, and on a cluster the host, the hash of the model's plan."""

TRACE_HEADERS = {"plan": PLAN_HEADER, "commit": "x-corral-commit"}
"""By name of what is traced: the local engine's headers; the commit is that at which the stack file was read."""

UNKNOWN_COMMIT = "unknown"

HASH_DIGITS = 12

_ROUTED = ("host", "kind", "model_id", "share", "weight", "priority", "protocol", "url", "region", "reaches")
"""The fields of a target that say where a request goes."""


def model_hash(model: ModelPlan, plan: Plan) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a model's routing."""
    routing = {
        "name": model.name,
        "targets": [[to_json(getattr(target, name)) for name in _ROUTED] for target in model.targets],
        "residency": to_json(model.residency),
        "tenants": {each.name: to_json(each.residency) for each in plan.tenants_of(model.name) if each.residency},
    }
    canonical = json.dumps(routing, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]


def trace(model: ModelPlan, plan: Plan) -> dict[str, str]:
    """What the local engine says of the requests of a model."""
    return {"plan": model_hash(model, plan), "commit": plan.commit or UNKNOWN_COMMIT}


def summary(plan: Plan) -> dict[str, Json]:
    """The trace of a whole stack: the hash of its plan, that of each model, and the commit (None: unknown)."""
    models: dict[str, Json] = {model.name: model_hash(model, plan) for model in plan.models}
    return {"hash": content_hash(plan), "commit": plan.commit, "models": models}
