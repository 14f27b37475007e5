"""The filters of the module (`corral.local.module`), and the text by which it knows callers and models.

    gateway   once for each request and its answer: who calls, which model, whether anything is left, what it used
    attempt   once for each attempt at a host: its key, path, `Host` header and id of the model, and whether it answers

Before a request is routed, the first

- finds `model`, `stream` and what else decides where a request goes among the members of the body without building the
  object (`json.c`), and refuses a body in which a host might find others;
- tells who calls: the tenant of a key, by its hash, or of the claims of a token that Envoy has verified (`caller.c`);
- refuses, in the shape of OpenAI's errors, whom it does not know, a model that is not the tenant's, a body above the
  tenant's limit, and what is beyond its limits of requests and tokens a minute or of requests under way
  (`limits.c`; all workers share the levels, and they outlive a plan);
- finds out, of a model whose hosts differ, which of them take what the request needs (`needs.c`), refuses what none
  does, and shortens the limit of an answer that none has room for;
- sets the headers by which Envoy routes: the model, with it the tenant's residency and the hosts to leave out, and the
  tenant;
- has a streamed answer say its usage where the client has not asked for that.

While the answer passes, it reads its tokens, or counts the pieces of one that is cut off; draws them from the tenant's
limits; tells the client what is left of those; takes the event with the usage out of a stream whose client has not
asked for it; and notes when the first byte came.  A redirect becomes 502 (`answer.c`).

The text comes with the table of routes: a change of it drains no listener, and a request keeps the one it began with.
Its form is described in `plan.c`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from corral.local.envoy.names import GATEWAY, NAMESPACE, Files
from corral.local.envoy.resource import Resource, typed
from corral.local.envoy.upstream import Upstream
from corral.local.envoy.variants import needs_entry, residency_key
from corral.plan.plan import ModelPlan, Plan, Rate, RequestSettings, TenantPlan

FILTER = "corral"
"""How the filters, and what routes say to them, are called."""

KIND = "extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n"})


def _text(value: str) -> Resource:
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value}


def _module(files: Files) -> Resource:
    local = {"local": {"filename": str(files.module)}}
    return {"module": local, "do_not_close": True, "metrics_namespace": NAMESPACE}


def filter_of(name: str, files: Files, text: str = "") -> Resource:
    """One of the module's filters."""
    return typed(KIND, {"dynamic_module_config": _module(files), "filter_name": name, "filter_config": _text(text)})


def per_route(text: str, files: Files) -> Resource:
    """What the table of routes says to the gateway's filter."""
    fields = {"dynamic_module_config": _module(files), "filter_name": GATEWAY, "filter_config": _text(text)}
    return {FILTER: typed("extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute", fields)}


def _line(*fields: str | int | bool | None) -> str:
    """A line; of a field that is None nothing is there."""
    texts = (str(int(field)) if isinstance(field, bool) else "" if field is None else str(field) for field in fields)
    return "\t".join(text.translate(_ESCAPES) for text in texts)


def attempt_text(upstreams: Iterable[Upstream], key_files: Mapping[str, Path]) -> str:
    """What the filter of attempts is told: the upstreams, and by name of those that take a key the files with these."""
    return "\n".join(
        _line(upstream.name, upstream.header, str(key_files[upstream.name]))
        if upstream.header
        else _line(upstream.name)
        for upstream in upstreams
    )


def plan_text(plan: Plan, keys: Mapping[str, str]) -> str:
    """What the gateway's filter is told; `keys` are the tenants by the SHA-256 of their keys."""
    return "\n".join((*_callers(plan, keys), *(line for model in plan.models for line in _model(plan, model))))


def _callers(plan: Plan, keys: Mapping[str, str]) -> Iterator[str]:
    settings = plan.request_settings
    if not plan.tenants:
        yield _line("open", settings.concurrent)
        return
    for tenant in plan.tenants:
        yield from _tenant(tenant, len(plan.models), settings)
    for key, tenant in sorted(keys.items()):
        yield _line("key", key, tenant)
    for issuer in plan.issuers:
        yield _line("claim", issuer.issuer, issuer.claim)
        for tenant in plan.tenants:
            for value in tenant.claims:
                yield _line("voucher", issuer.issuer, value, tenant.name)


def _tenant(tenant: TenantPlan, models: int, settings: RequestSettings) -> Iterator[str]:
    total = settings.concurrent if tenant.priority == "high" else settings.concurrent_of_normal
    every = len(tenant.models) == models
    limits = (total, tenant.concurrent, tenant.body_limit, tenant.rate.requests, tenant.rate.tokens)
    yield _line("tenant", tenant.name, residency_key(tenant), *limits, every)
    rates = dict(tenant.rates)
    for model in dict.fromkeys((*(() if every else tenant.models), *rates)):
        rate = rates.get(model, Rate(None, None))
        yield _line("grant", model, model in tenant.models, rate.requests, rate.tokens)


def _model(plan: Plan, model: ModelPlan) -> Iterator[str]:
    yield _line("model", model.name, len(model.live) == 1)
    entry = needs_entry(plan, model)
    if entry is None:
        return
    for residency, hosts in entry.every.items():
        yield _line("lane", residency, hosts)
    for need, (what, hosts) in entry.lacks.items():
        yield _line("lack", need, hosts, what)
    for limit, hosts in entry.outputs:
        yield _line("output", limit, hosts)
    for api in entry.apis:
        yield _line("api", api)
