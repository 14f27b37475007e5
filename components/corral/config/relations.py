"""Relations between the parts of a stack, beyond the shape of each.

The shares of a model sum to 100.  Every host that a model names is declared, and no fallback is named twice.  Every
model is one that the catalog knows or a host lists; places and regions are ones that the catalog knows.  The models
that tenants name are the stack's.  A key, and a value of an issuer's claim, is one tenant's.  An issuer says in one way
where its keys are.  Other machines call the local engine only where there are tenants.  Whether a cluster's stack can
be provisioned is for `provisioning`; whether a host serves a model, and whether a residency holds, for the plan's
checks.

In the stack that is looked at, stand-ins hold the places of what is wrong by itself (`validation.py`).  Those places
are void in the report, and no relation of theirs is reported.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from ipaddress import ip_address

from corral.catalog.catalog import Catalog, Limit
from corral.config.cluster import (
    Replicas,
)
from corral.config.hosts import OPENAI, AzureHost, BedrockHost, Gpus, Host, Limits, Reservation, VllmHost
from corral.config.problems import HOSTS, MODELS, TENANTS, Keys, Mark, Report, correction, listed, named, nearest
from corral.config.ramps import Ramp
from corral.config.stack import Engine, Model, Peak, Stack
from corral.config.tenants import Budget, Issuer, Rate, Tenant

_RESIDENCY, _ISSUERS, _GATEWAY, _ENGINE = "corral:residency", "corral:issuers", "corral:gateway", "corral:engine"
_RAMPS = "corral:ramps"

NEEDED = {"url": "https://llm.lab.example.com/v1", "models": "{llama-3.3-70b: Llama-3.3-70B}"}
"""The keys that a host unknown to the catalog needs, with examples."""

_MANY = 12
"""More shares than this are not spelled out."""


def check_relations(stack: Stack, catalog: Catalog, report: Report, valid: Container[str] = ()) -> None:
    """`valid` are models in which, with these hosts, nothing is wrong."""
    for name, host in stack.hosts.items():
        _check_host((HOSTS, name), host, catalog, report)
        _check_limits((HOSTS, name, "limits"), host.limits, stack.models, report)
    known_models = {*catalog.models}.union(*(_models_of(host) for host in stack.hosts.values()))
    for name, model in stack.models.items():
        if name in valid:
            continue
        if name not in known_models and not report.is_void((MODELS,)):
            report.add(
                (MODELS, name),
                f"no model of that name in the catalog, nor under `models` or `modelWeights` of a host"
                f"{correction(name, known_models)}",
            )
        _check_model((MODELS, name), model, stack.hosts, catalog, report)
    for name, ramp in stack.ramps.items():
        _check_ramp((_RAMPS, name), name, ramp, stack.models, report)
    _check_places(stack.residency, (_RESIDENCY,), catalog, report)
    _check_tenants(stack, catalog, report)
    _check_issuers(stack.issuers, report)
    _check_range(stack.gateway.replicas, ("corral:gateway", "replicas"), report)


def _models_of(host: Host) -> Collection[str]:
    return host.models.keys() | host.model_weights.keys() if isinstance(host, VllmHost) else host.models


def _check_host(keys: Keys, host: Host, catalog: Catalog, report: Report) -> None:
    if host.kind == OPENAI and not report.is_void((*keys, "kind")):
        for key, value in (("url", host.url), ("models", host.models)):
            if not value:
                report.relate((*keys, key), f"is needed by kind {OPENAI}, for instance {NEEDED[key]}")
    if host.auth == "entra" and not isinstance(host, AzureHost):
        report.relate((*keys, "auth"), "is for kind azure: leave it out, or say how the host takes its key")
    match host:
        case BedrockHost(region=str(region)):
            _check_region(region, (*keys, "region"), catalog, report)
        case AzureHost(location=str(region)):
            _check_region(region, (*keys, "location"), catalog, report)
        case VllmHost(gpus=Gpus() as gpus):
            _check_range(gpus, (*keys, "gpus"), report)
            if gpus.alternatives and isinstance(gpus.capacity_type, Reservation) and not gpus.capacity_type.otherwise:
                report.relate(
                    (*keys, "gpus", "alternatives"),
                    "are never taken, as a reservation is for one type: give capacityType.otherwise, or leave them out",
                )
        case _:
            pass


def _check_limits(keys: Keys, limits: Limits, models: Mapping[str, Model], report: Report) -> None:
    for model, limit in limits.per_model.items():
        here = (*keys, "perModel", model)
        if model not in models and not report.is_void((MODELS, model)) and not report.is_void(here[:-1]):
            report.add(here, f"no such model under {MODELS}{correction(model, models)}")
        _check_amounts(limit, here, "limits nothing", report)


def _check_amounts(amounts: Limit | Peak, keys: Keys, wrong: str, report: Report) -> None:
    if type(amounts)() == amounts and report.is_sound(keys):
        report.add(keys, f"{wrong}: give tokensPerMinute, requestsPerMinute, concurrent, or several of them")


def _check_region(region: str, keys: Keys, catalog: Catalog, report: Report) -> None:
    """A region of a cloud; own GPUs may stand in one that no cloud has."""
    regions = {region for region, place in catalog.places.items() if region != place}
    if region not in regions:
        report.relate(keys, f"no region {named(region)} is known{correction(region, regions)}")


def _check_range(part: Gpus | Replicas, keys: Keys, report: Report) -> None:
    if part.min > part.max and not any(report.is_void((*keys, bound)) for bound in ("min", "max")):
        report.add(keys, f"min {part.min} is above max {part.max}: raise max or lower min")


def _check_places(residency: Sequence[str] | None, keys: Keys, catalog: Catalog, report: Report) -> None:
    known = {*catalog.places, *catalog.places.values()}
    for at, place in enumerate(residency or ()):
        if place not in known:
            near, places = nearest(place, known), sorted(set(catalog.places.values()))
            meant = f"did you mean {named(near)}?" if near else f"name a place ({', '.join(places)}) or a region"
            report.relate((*keys, at), f"no place or region {named(place)} is known: {meant}")


def _check_model(keys: Keys, model: Model, hosts: Mapping[str, Host], catalog: Catalog, report: Report) -> None:
    for host in model.shares:
        if not report.is_void((*keys, "shares")):
            _check_declared(host, (*keys, "shares", host), hosts, catalog, report)
    for at, host in enumerate(model.fallback):
        if not report.is_void((*keys, "fallback", at)):
            _check_declared(host, (*keys, "fallback", at), hosts, catalog, report)
        if (first := model.fallback.index(host)) < at:
            report.relate((*keys, "fallback", at), f"{named(host)} is at fallback[{first}] already: remove one of them")
    for host in model.least_shares.keys() - model.shares.keys():
        report.relate((*keys, "leastShares", host), f"{host} has no share here: give it one, or leave it out")
    if (least := sum(model.least_shares.values())) > 100:
        report.relate((*keys, "leastShares"), f"{least} in all is above 100")
    if model.mirror and model.shares.get(model.mirror.to) != 0 and not report.is_void((*keys, "mirror")):
        host = model.mirror.to
        why = "has a share, and is asked already" if host in model.shares else "has no place in the shares"
        report.relate((*keys, "mirror", "to"), f"{host} {why}: give it the share 0")
    elif model.mirror and model.mirror.to in model.fallback:
        report.relate((*keys, "mirror", "to"), f"{model.mirror.to} is a fallback here: take it out of `fallback`")
    _check_sum(model.shares, (*keys, "shares"), report)
    if model.peak:
        _check_amounts(model.peak, (*keys, "peak"), "says nothing", report)
    _check_places(model.residency, (*keys, "residency"), catalog, report)


def _check_declared(host: str, keys: Keys, hosts: Mapping[str, Host], catalog: Catalog, report: Report) -> None:
    if host in hosts or report.is_void((HOSTS, host)):
        return
    if host in catalog.hosts and nearest(host, hosts) is None:
        report.add(keys, f"{host} is not under {HOSTS}: add `{host}: {{}}` there")
    else:
        report.add(keys, f"no such host under {HOSTS}{correction(host, hosts)}")


def _check_ramp(keys: Keys, name: str, ramp: Ramp, models: Mapping[str, Model], report: Report) -> None:
    if name not in models:
        if not report.is_void((MODELS, name)):
            report.add(keys, f"no such model under {MODELS}{correction(name, models)}")
        return
    model = models[name]
    if not report.is_sound((MODELS, name)):
        return
    for key, shares in (("to", ramp.to), ("from", ramp.start or {})):
        for host in shares:
            here = (*keys, key, host)
            if host not in model.shares:
                report.relate(
                    here,
                    f"{host} has no share of {name}: give it one of 0 in {MODELS}.{name}.shares, so that it is ready "
                    "before the ramp begins",
                )
            elif host in model.fallback and key == "to":
                report.relate(here, f"{host} is a fallback of {name}: take it out of {MODELS}.{name}.fallback")
    start, total = ramp.start or model.shares, sum(ramp.to.values())
    if ramp.start:
        _check_sum(ramp.start, (*keys, "from"), report)
    if total > 100:
        report.relate((*keys, "to"), f"{total} in all is above 100")
    elif total < 100 and not any(start.get(host) for host in model.shares.keys() - ramp.to.keys()):
        report.relate((*keys, "to"), f"leaves {100 - total} of 100 to hosts that have no share: name one of them too")


def _check_sum(shares: Mapping[str, int], keys: Keys, report: Report) -> None:
    total = sum(shares.values())
    if total == 100 or not report.is_sound(keys):
        return
    in_order = sorted(shares, key=lambda host: report.mark((*keys, host)) or Mark(0, 0))
    terms = " + ".join(str(shares[host]) for host in in_order) if len(shares) <= _MANY else f"{len(shares)} shares"
    spelled_out = f"{terms} = {total}" if len(shares) > 1 else f"{total}"
    if total > 100:
        over = total - 100
        able = [host for host in in_order if shares[host] >= over]
        way_out = f"take {over} from {_one_of(able)}" if able else f"take {over} away in all"
    else:
        way_out = f"give {100 - total} more to {_one_of(in_order)}"
    report.add(keys, f"{spelled_out}, must be 100: {way_out}")


def _one_of(hosts: Sequence[str]) -> str:
    return listed(hosts) if len(hosts) <= _MANY else "some of them"


def _check_tenants(stack: Stack, catalog: Catalog, report: Report) -> None:
    if not report.has(stack.tenants, (TENANTS,)):
        if stack.issuers:
            report.relate((_ISSUERS,), f"vouch for nobody: declare {TENANTS}")
        _check_address(stack.engine, report)
        return
    tenants: dict[Keys, Tenant] = {(TENANTS, name): tenant for name, tenant in (stack.tenants or {}).items()}
    for keys, tenant in tenants.items():
        _check_models(keys, tenant, stack.models, report)
        _check_places(tenant.residency, (*keys, "residency"), catalog, report)
        if tenant.budget:
            _check_budget((*keys, "budget"), tenant.budget, report)
    _check_owners(_key_hashes(tenants), "a key is one tenant's", report)
    if stack.issuers:
        _check_owners(_claims(tenants, report), "a value of a claim is one tenant's", report)
    elif not report.is_void((_ISSUERS,)):
        for keys, tenant in tenants.items():
            if tenant.claims:
                report.relate((*keys, "claims"), f"nobody vouches for them: declare {_ISSUERS}")


def _check_address(engine: Engine, report: Report) -> None:
    kind_is_known = not report.is_void((_ENGINE, "kind"))
    if engine.kind == "local" and kind_is_known and not ip_address(engine.address).is_loopback:
        report.relate(
            (_ENGINE, "address"),
            "lets other machines call, and nobody asks who they are: declare "
            f"{TENANTS}, for instance {{search: {{}}}}, or listen on 127.0.0.1",
        )


def _check_models(keys: Keys, tenant: Tenant, models: Mapping[str, Model], report: Report) -> None:
    allowed = tenant.models or ()
    for at, model in enumerate(allowed):
        if model not in models and not report.is_void((MODELS, model)):
            wrong = f"no model {named(model)} under {MODELS}{correction(model, models)}"
            report.relate((*keys, "models", at), wrong)
    for model, rate in tenant.per_model.items():
        here = (*keys, "perModel", model)
        if model not in models and not report.is_void((MODELS, model)) and not report.is_void(here[:-1]):
            report.add(here, f"no such model under {MODELS}{correction(model, models)}")
        elif allowed and model not in allowed:
            report.relate(here, "limits a model that the tenant may not ask for: add it to models, or remove this")
        if rate == Rate() and report.is_sound(here):
            report.add(here, "limits nothing: give requestsPerMinute, tokensPerMinute or both")


def _check_budget(keys: Keys, budget: Budget, report: Report) -> None:
    if budget.day is None and budget.month is None and report.is_sound(keys):
        report.add(keys, "limits nothing: give month, day or both")
    elif budget.day and budget.month and budget.day > budget.month:
        report.relate((*keys, "day"), "is above the month's, which would never let it be used up: lower it")


def _check_owners(owned: Iterator[tuple[str, Keys]], rule: str, report: Report) -> None:
    """Each value, which comes with its place, is one tenant's and stands once."""
    owners: dict[str, str | int] = {}
    for value, keys in owned:
        if report.is_void(keys):
            continue
        _, tenant, *_ = keys
        if value not in owners:
            owners[value] = tenant
        elif owners[value] == tenant:
            report.add(keys, "stands here twice: remove one of them")
        else:
            report.add(keys, f"is of {named(str(owners[value]))} too, and {rule}: remove one of them")


def _key_hashes(tenants: Mapping[Keys, Tenant]) -> Iterator[tuple[str, Keys]]:
    for keys, tenant in tenants.items():
        for at, key_hash in enumerate(tenant.keys):
            yield key_hash, (*keys, "keys", at)


def _claims(tenants: Mapping[Keys, Tenant], report: Report) -> Iterator[tuple[str, Keys]]:
    for keys, tenant in tenants.items():
        if not report.has(tenant.claims, (*keys, "claims")):
            yield str(keys[-1]), keys
        for at, claim in enumerate(tenant.claims or ()):
            yield claim, (*keys, "claims", at)


def _check_issuers(issuers: Sequence[Issuer], report: Report) -> None:
    positions: dict[str, int] = {}
    for at, issuer in enumerate(issuers):
        keys = (_ISSUERS, at)
        by_url = report.has(issuer.jwks, (*keys, "jwks"))
        if by_url == report.has(issuer.jwks_file, (*keys, "jwksFile")):
            report.relate(keys, "must say in one way where its public keys are: give either jwks or jwksFile")
        if not report.is_void((*keys, "issuer")) and (first := positions.setdefault(issuer.issuer, at)) < at:
            report.add((*keys, "issuer"), f"stands at {_ISSUERS}[{first}] already: remove one of them")
