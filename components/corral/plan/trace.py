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
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from corral.config.problems import listed
from corral.plan.memory import memoized
from corral.plan.plan import ModelPlan, Plan
from corral.plan.public_json import Json, content_hash, to_json
from corral.plan.tenants import served_to

PLAN_HEADER = "x-corral-plan"
"""Tells the client, and on a cluster the host, the hash of the model's plan."""

UNKNOWN_COMMIT = "unknown"

HASH_DIGITS = 12

_ROUTED = ("host", "kind", "model_id", "share", "weight", "priority", "protocol", "url", "region", "reaches")
"""The fields of a target that say where a request goes."""


def model_hash(model: ModelPlan, plan: Plan) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a model's routing."""
    return _hash(model, tuple((each.name, each.residency) for each in plan.confined(model.name)))


@memoized
def _hash(model: ModelPlan, residencies: tuple[tuple[str, tuple[str, ...] | None], ...]) -> str:
    routing = {
        "name": model.name,
        "targets": [[to_json(getattr(target, name)) for name in _ROUTED] for target in model.targets],
        "residency": to_json(model.residency),
        "affinity": to_json(model.affinity),
        "tenants": {tenant: to_json(residency) for tenant, residency in residencies},
    }
    canonical = json.dumps(routing, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]


def trace(model: ModelPlan, plan: Plan) -> dict[str, str]:
    """What the local engine says of the requests of a model; the commit is that at which the stack file was read."""
    return {"plan": model_hash(model, plan), "commit": plan.commit or UNKNOWN_COMMIT}


def summary(plan: Plan) -> dict[str, Json]:
    """The trace of a whole stack: the hash of its plan, that of each model, and the commit (None: unknown)."""
    models: dict[str, Json] = {model.name: model_hash(model, plan) for model in plan.models}
    return {"hash": content_hash(plan), "commit": plan.commit, "models": models}


@dataclass(frozen=True)
class LoggedRequest:
    """A line of the access log of either engine, as far as it says where a request went."""

    id: str
    time: AwareDatetime
    """When it began."""
    status: int
    tenant: str | None = None
    """None: nobody was asked, or the caller is unknown."""
    model: str | None = None
    host: str | None = None
    """The one that answered; None: none did."""
    host_model: str | None = None
    method: str | None = None
    path: str | None = None
    plan: str | None = None
    commit: str | None = None
    attempts: int = 0
    duration_ms: int | None = None
    flags: str | None = None
    failure: str | None = None


_LINE = TypeAdapter(LoggedRequest)


def find_request(lines: Iterable[bytes], request: str) -> LoggedRequest | None:
    """The line of this request; what stands before its `{` is of whoever has passed the log on.

    Of a line only what has the id is read.
    """
    quoted = json.dumps(request).encode()
    for line in lines:
        if quoted in line:
            try:
                logged = _LINE.validate_json(line[line.index(b"{") :])
            except (ValidationError, ValueError):
                continue
            if logged.id == request:
                return logged
    return None


def rule(model: ModelPlan, plan: Plan, request: LoggedRequest) -> str:
    """By which part of the plan the request came to its host, in words."""
    tenant = next((each for each in plan.tenants if each.name == request.tenant), None)
    served = served_to(model, tenant) if tenant else model
    target = next((each for each in served.live if each.host == request.host), None)
    left_out = sorted({each.host for each in model.live} - {each.host for each in served.live})
    residency = f", without {listed(left_out, 'and')}, which its residency does not allow" if left_out else ""
    if target is None:
        return f"none of the plan: no request of this caller goes to {request.host}"
    if target.priority == 0:
        whole = sum(each.weight for each in served.sharing)
        return f"{target.role}: weight {target.weight} of {whole} among those that share{residency}"
    place = [each.host for each in served.fallbacks].index(target.host) + 1
    return f"fallback {place} of {len(served.fallbacks)}: those before it failed, or could not take it{residency}"
