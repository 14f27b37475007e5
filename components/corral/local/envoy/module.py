"""The filters of the module (`corral.local.module`), and the text by which it knows callers, models and hosts.

    gateway   once for each request and its answer: who calls, which model, whether anything is left, what it used
    host      for each attempt, as Envoy's cluster specifier: which host is next, by share and fallback
    attempt   once for each attempt at a host: its key, path, `Host` header and id of the model, and whether it answers
    log       once for each request when it is over: its line of the log, and what it adds to the statistics

Before a request is routed, the first

- finds `model`, `stream` and what else decides where a request goes among the members of the body without building the
  object (`json.c`), and refuses a body in which a host might find others;
- tells who calls: the tenant of a key, by its hash, or of the claims of a token that Envoy has verified (`caller.c`);
- refuses, in the shape of OpenAI's errors, whom it does not know, a model that is not the tenant's, a body above the
  tenant's limit, and what is beyond its limits of requests and tokens a minute or of requests under way
  (`limits.c`; all workers share the levels, and they outlive a plan);
- finds out, of a model whose hosts differ, which of them take what the request needs (`needs.c`), refuses what none
  does, and shortens the limit of an answer that none has room for;
- leaves out the hosts that the tenant's residency does not allow;
- holds what the request could cost at most of the tenant's budget, until it is known what it has cost (`budget.c`);
- has a streamed answer say its usage where the client has not asked for that.

While the answer passes, it reads its tokens, or counts the pieces of one that is cut off; draws them from the tenant's
limits; tells the client what is left of those; takes the event with the usage out of a stream whose client has not
asked for it; and notes when the first byte came.  A redirect becomes 502 (`answer.c`).

A request of a session goes to the host that its session prefers (`affinity.c`), which is told the session where it
takes such a hint.

A request for which a full host is drawn waits for it where the stack says so: it is held in its filter, before it is
routed (`places.c`).

Who fails again and again at a model is left out of it for a while, and who says that it takes no more until it does;
all workers share that, and it outlives a plan (`choice.c`).

The table of routes names the file with the text: a change of it drains no listener, and a request keeps the one it
began with.  As a part of the table Envoy would take several times as long to read it.
Its form is described in `plan.c`.  Of the hosts' keys it has the files alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from corral.local.envoy.names import GATEWAY, Files
from corral.local.envoy.resource import Resource, extension, typed
from corral.local.envoy.upstream import Upstream
from corral.plan import failover
from corral.plan.callers import Rate, TenantPlan
from corral.plan.capabilities import needs, other_apis
from corral.plan.gpus import Fit
from corral.plan.memory import memoized
from corral.plan.plan import Load, ModelPlan, Plan, Price, RequestSettings, SessionHeader, Target
from corral.plan.residency import stays_within
from corral.plan.tenants import served_to
from corral.plan.trace import UNKNOWN_COMMIT, model_hash

FILTER = "corral"
"""How the filters, and what routes say to them, are called."""

UNKNOWN_CONTEXT_TOKENS = 131_072
"""Of prompt and answer together, where nobody says what a host takes: what Llama 3.1 and 3.3 have."""


@dataclass(frozen=True)
class BudgetFile:
    """Where what tenants spend is kept."""

    path: Path
    places: Mapping[str, int]
    """By tenant, of those that have a budget, the number of its record."""
    free: frozenset[str]
    """The hosts that cost nothing here, as they are simulated."""


_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n"})


def _text(value: str) -> Resource:
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value}


def _module(files: Files) -> Resource:
    local = {"local": {"filename": str(files.module)}}
    return {"module": local, "do_not_close": True}


def hidden_headers() -> str:
    """A line of the headers of requests that no host sees, and one of those of answers that no client sees."""
    of_requests = (
        *(failover.TOKEN_HEADER, *failover.CLIENT_CREDENTIALS, *failover.CALLER_HEADERS, failover.UNCOUNTABLE),
        *(*failover.ADDED_BY_ENVOY, *failover.ADDED_BY_ENVOY_ALONE),
    )
    return "\n".join(" ".join(names) for names in (of_requests, (failover.UNSUPPORTED_HEADER, *failover.HOST_HEADERS)))


def filter_of(name: str, files: Files) -> Resource:
    """One of the module's filters: the gateway's has the file in which it shows the shape of the last requests, that of
    attempts the headers that it takes away."""
    settings = str(files.shapes) if name == GATEWAY else hidden_headers()
    fields = {"dynamic_module_config": _module(files), "filter_name": name, "filter_config": _text(settings)}
    return typed("extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter", fields)


def access_log(file: Path, files: Files) -> Resource:
    """Writes a line for each request, and counts it."""
    kind = "access_loggers.dynamic_modules.v3.DynamicModuleAccessLog"
    fields = {"dynamic_module_config": _module(files), "logger_name": "log", "logger_config": _text(str(file))}
    return extension(kind, fields)


def bootstrap_extension(files: Files) -> Resource:
    """What of the module runs for as long as Envoy does."""
    kind = "bootstrap.dynamic_modules.v3.DynamicModuleBootstrapExtension"
    return extension(kind, {"dynamic_module_config": _module(files), "extension_name": "corral"})


def per_route(plan: Path, files: Files) -> Resource:
    """Where the gateway's filter, and for the request the others, find what they know of the plan."""
    fields = {"dynamic_module_config": _module(files), "filter_name": GATEWAY, "filter_config": _text(str(plan))}
    return {FILTER: typed("extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute", fields)}


def _line(*fields: str | int | bool | None) -> str:
    """A line; of a field that is None nothing is there."""
    return "\t".join(
        [
            "" if field is None else field.translate(_ESCAPES) if isinstance(field, str) else str(int(field))
            for field in fields
        ]
    )


def plan_text(
    plan: Plan,
    keys: Mapping[str, str],
    upstreams: Mapping[str, Upstream],
    key_files: Mapping[str, Path],
    budgets: BudgetFile | None = None,
    mirrored: Path | None = None,
) -> str:
    """What the module is told; `keys` are the tenants by the SHA-256 of their keys, `upstreams` those of the live
    hosts, `key_files` the files with the keys of those that take one; `budgets` is None where no tenant has one;
    `mirrored` is where it is written what became of copies of requests.
    """
    limits = {host: target.host_limit for host, target in plan.live_hosts.items()}
    free = budgets and budgets.free
    return "\n".join(
        (
            _ejection(plan.request_settings),
            _line("trace", plan.commit or UNKNOWN_COMMIT, plan.trace_headers),
            *(_host(upstream, key_files, limits.get(upstream.host, Load())) for upstream in upstreams.values()),
            *(_hint(target) for target in plan.live_hosts.values() if target.session_hint),
            *(_overflow(target) for target in plan.live_hosts.values() if target.overflow_wait),
            *([_line("budgets", str(budgets.path))] if budgets else []),
            *_callers(plan, keys, budgets),
            *(
                _model(model, plan.confined(model.name), model_hash(model, plan), free, mirrored)
                for model in plan.models
            ),
        )
    )


def cluster_specifier(retry_policies: Mapping[str, Resource], candidates: Iterable[str], files: Files) -> Resource:
    """What chooses the host of an attempt; the policies are by the number of hosts that a request can go to, the
    candidates the clusters to which some are copied."""
    overrides: dict[str, Resource] = {name: {"retry_policy": policy} for name, policy in retry_policies.items()}
    for cluster in candidates:
        copied = {
            "cluster": cluster,
            "runtime_fraction": {"default_value": {"numerator": 100}},
            "disable_shadow_host_suffix_append": True,
        }
        for name, policy in retry_policies.items():
            overrides[name + cluster] = {"retry_policy": policy, "request_mirror_policies": [copied]}
    fields = {
        "dynamic_module_config": _module(files),
        "specifier_name": "host",
        "route_action_overrides": overrides,
    }
    kind = "extensions.router.cluster_specifiers.dynamic_modules.v3.DynamicModuleClusterSpecifier"
    return {"name": "envoy.router.cluster_specifier_plugin.dynamic_modules", "typed_config": typed(kind, fields)}


def _ejection(settings: RequestSettings) -> str:
    spans = (settings.ejection_time, failover.MAX_EJECTION_MILLISECONDS, failover.EJECTION_INTERVAL_MILLISECONDS)
    return _line("ejection", failover.CONSECUTIVE_FAILURES, *spans)


def _limits(of: Load) -> tuple[int | None, ...]:
    """What a host takes, as the last fields of a line; nothing where it takes whatever comes."""
    return () if of == Load() else (of.concurrent, of.requests, of.tokens)


def _host(upstream: Upstream, key_files: Mapping[str, Path], limit: Load) -> str:
    key = (upstream.header, str(key_files[upstream.name])) if upstream.header else (None, None)
    return _line("host", upstream.host, upstream.name, upstream.authority, upstream.path, *key, *_limits(limit))


def _hint(target: Target) -> str:
    hint = target.session_hint
    return _line("hint", target.host, hint and hint.header, hint and hint.member)


def _overflow(target: Target) -> str:
    return _line("overflow", target.host, target.overflow_wait)


def _callers(plan: Plan, keys: Mapping[str, str], budgets: BudgetFile | None) -> Iterator[str]:
    settings = plan.request_settings
    if not plan.tenants:
        yield _line("open", settings.concurrent)
        return
    for tenant in plan.tenants:
        yield from _tenant(tenant, len(plan.models), settings)
        if budgets and (budget := tenant.budget):
            allows = budget.at_limit == "allow"
            yield _line("budget", budgets.places[tenant.name], budget.day, budget.month, allows)
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
    yield _line("tenant", tenant.name, _residency(tenant), *limits, every)
    rates = dict(tenant.rates)
    for model in dict.fromkeys((*(() if every else tenant.models), *rates)):
        rate = rates.get(model, Rate(None, None))
        yield _line("grant", model, model in tenant.models, rate.requests, rate.tokens)


def _residency(tenant: TenantPlan) -> str | None:
    return "+".join(tenant.residency) if tenant.residency else None


@memoized
def _model(
    model: ModelPlan,
    confined: tuple[TenantPlan, ...],
    hashed: str,
    free: frozenset[str] | None,
    mirrored: Path | None,
) -> str:
    """A model's lines; `confined` are the tenants with a residency that may ask for it, `free` hosts cost nothing."""
    return "\n".join(_lines(model, confined, hashed, free, mirrored))


def _lines(
    model: ModelPlan,
    confined: tuple[TenantPlan, ...],
    hashed: str,
    free: frozenset[str] | None,
    mirrored: Path | None,
) -> Iterator[str]:
    live = model.live
    yield _line("model", model.name, len(live), hashed)
    for target in live:
        yield _target(target)
        if free is not None and target.price and target.host not in free:
            yield _price(target, target.price)
    if candidate := model.candidate:
        yield _mirror(candidate, mirrored)
    if model.affinity:
        yield _line("affinity", model.affinity.header if isinstance(model.affinity, SessionHeader) else None)
    bits = {target.host: 1 << place for place, target in enumerate(live)}

    def hosts(names: Iterable[str]) -> str:
        return f"{reduce(lambda mask, host: mask | bits[host], names, 0):x}"

    for tenant in {each.residency: each for each in confined}.values():
        allowed = [target.host for target in served_to(model, tenant).live]
        if len(allowed) < len(live):
            yield _line("residency", _residency(tenant), hosts(allowed))
        if model.candidate and not stays_within(model.candidate, tenant.allowed_regions):
            yield _line("unmirrored", _residency(tenant))
    for need in needs(model):
        lacked_by = hosts(need.lacked_by)
        if need.limit is None:
            yield _line("lack", need.name, lacked_by, need.what)
        else:
            yield _line("output", need.limit, lacked_by)
    for api in sorted(other_apis(model)):
        yield _line("api", api)


def _target(target: Target) -> str:
    return _line("target", target.host, target.weight, target.priority, *_id(target), *_limits(target.limit))


def _mirror(target: Target, mirrored: Path | None) -> str:
    limit = target.limit
    amounts = (limit.concurrent, limit.requests, limit.tokens)
    return _line("mirror", target.host, target.mirrored, 0, *_id(target), *amounts, mirrored and str(mirrored))


def _id(target: Target) -> tuple[str, str | None]:
    """The host's id of the model as JSON, and without its quotes where that is another text."""
    quoted = json.dumps(target.model_id)
    return quoted, target.model_id if quoted[1:-1] != target.model_id else None


def _price(target: Target, price: Price) -> str:
    """Micro-dollars for a million tokens are millionths of a micro-dollar for each."""
    fitted = target.fit.context if isinstance(target.fit, Fit) else None
    context = min(filter(None, (target.context, fitted)), default=UNKNOWN_CONTEXT_TOKENS)
    longest = min(context, target.output or context)
    return _line("price", price.input, price.output, price.cached_input, context, longest)
