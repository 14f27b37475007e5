"""Places and regions that a residency names are ones the catalog knows.

What tenants must have in common with the rest of a stack, beyond the shape of each.

The models they name are the stack's.  A key, and a value of an issuer's claim, is one tenant's.  An issuer says in one
way where its keys are.  Other machines call the local engine only where there are tenants.

Looks at plain values, of which any part may be missing or of a wrong type; that is said elsewhere, and here left alone.

What the parts of a stack must have in common, beyond the shape of each.

The shares of a model sum to 100.  Every host that a model names is declared, and no fallback is named twice.  Every
model is one the catalog knows or a host of the stack lists.  Places and regions are known ones.  Whether a host serves
a model, and whether a residency holds, is for the checks of the plan.

Looks at plain values, of which any part may be missing or of a wrong type; that is said elsewhere, and here left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, TypeGuard, cast

from corral.catalog.catalog import Catalog
from corral.config.cluster import Replicas
from corral.config.problems import Keys, Mark, Report, correction, listed, named, nearest
from corral.config.stack_file import mapping


def check_places(residency: Any, keys: Keys, catalog: Catalog, report: Report) -> None:
    known = {*catalog.places, *catalog.places.values()}
    places = sorted(set(catalog.places.values()))
    for at, place in enumerate(cast("list[Any]", residency) if isinstance(residency, list) else []):
        if isinstance(place, str) and place not in known:
            near = nearest(place, known)
            meant = f"did you mean {named(near)}?" if near else f"name a place ({', '.join(places)}) or a region"
            report.add((*keys, at), f"no place or region {named(place)} is known: {meant}")


_TENANTS, _ISSUERS = "corral:tenants", "corral:issuers"


def check_tenants(parts: Mapping[str, Any], catalog: Catalog, report: Report) -> None:
    """`parts`: the values under `corral:` by part."""
    tenants, models, issuers = (
        mapping(parts.get("tenants")),
        mapping(parts.get("models")),
        _tenant_list(parts.get("issuers")),
    )
    for name, tenant in tenants.items():
        _check_models((_TENANTS, name), mapping(tenant), models, report)
        check_places(mapping(tenant).get("residency"), (_TENANTS, name, "residency"), catalog, report)
    _check_owners(_keys(tenants), "a key is one tenant's", report)
    if issuers:
        _check_owners(_claims(tenants), "a value of a claim is one tenant's", report)
    elif not report.is_void((_ISSUERS,)):
        _check_claimed(tenants, report)
    _check_issuers(issuers, report)
    if "tenants" not in parts and not report.is_void((_TENANTS,)):
        if issuers:
            report.add((_ISSUERS,), f"vouch for nobody: declare {_TENANTS}")
        _check_address(mapping(parts.get("engine")), report)


def _check_models(keys: Keys, tenant: Mapping[str, Any], models: Mapping[str, Any], report: Report) -> None:
    may = _texts(tenant.get("models"))
    if models:
        for at, model in may:
            if model not in models:
                said = f"no model {named(model)} under corral:models{correction(model, models)}"
                report.add((*keys, "models", at), said)
    for model, rate in mapping(tenant.get("perModel")).items():
        here = (*keys, "perModel", model)
        if report.is_void(here):
            continue
        if models and model not in models:
            report.add(here, f"no such model under corral:models{correction(model, models)}")
        elif may and model not in (each for _, each in may):
            report.add(here, "limits a model that the tenant may not ask for: add it to models, or remove this")
        if rate == {}:
            report.add(here, "limits nothing: give requestsPerMinute, tokensPerMinute or both")


def _check_owners(said: Iterator[tuple[str, Keys, str]], rule: str, report: Report) -> None:
    """Of `said`, which are value, place and tenant, each value stands once."""
    owners: dict[str, str] = {}
    for value, keys, tenant in said:
        if value not in owners:
            owners[value] = tenant
        elif owners[value] == tenant:
            report.add(keys, "stands here twice: remove one of them")
        else:
            report.add(keys, f"is of {named(owners[value])} too, and {rule}: remove one of them")


def _keys(tenants: Mapping[str, Any]) -> Iterator[tuple[str, Keys, str]]:
    for name, tenant in tenants.items():
        for at, key in _texts(mapping(tenant).get("keys")):
            yield key, (_TENANTS, name, "keys", at), name


def _claims(tenants: Mapping[str, Any]) -> Iterator[tuple[str, Keys, str]]:
    for name, tenant in tenants.items():
        if "claims" not in mapping(tenant):
            yield name, (_TENANTS, name), name
        for at, claim in _texts(mapping(tenant).get("claims")):
            yield claim, (_TENANTS, name, "claims", at), name


def _check_claimed(tenants: Mapping[str, Any], report: Report) -> None:
    for name, tenant in tenants.items():
        keys = (_TENANTS, name, "claims")
        if _texts(mapping(tenant).get("claims")):
            report.add(keys, f"nobody vouches for them: declare {_ISSUERS}")


def _check_issuers(issuers: list[Any], report: Report) -> None:
    seen: dict[Any, int] = {}
    for at, issuer in ((at, mapping(issuer)) for at, issuer in enumerate(issuers)):
        keys = (_ISSUERS, at)
        if issuer and not report.is_void(keys) and ("jwks" in issuer) == ("jwksFile" in issuer):
            report.add(keys, "must say in one way where its public keys are: give either jwks or jwksFile")
        name = issuer.get("issuer")
        if isinstance(name, str) and (first := seen.setdefault(name, at)) < at:
            report.add((*keys, "issuer"), f"stands at {_ISSUERS}[{first}] already: remove one of them")


def _check_address(engine: Mapping[str, Any], report: Report) -> None:
    address = engine.get("address")
    if engine.get("kind", "local") != "local" or not isinstance(address, str):
        return
    try:
        loopback = ip_address(address).is_loopback
    except ValueError:
        return
    if not loopback:
        report.add(
            ("corral:engine", "address"),
            "lets other machines call, and nobody asks who they are: declare "
            f"{_TENANTS}, for instance {{search: {{}}}}, or listen on 127.0.0.1",
        )


def _texts(value: Any) -> list[tuple[int, str]]:
    return [(at, item) for at, item in enumerate(_tenant_list(value)) if isinstance(item, str)]


def _tenant_list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


_CLOUD_REGIONS = {"bedrock": "region", "azure": "location"}
"""Per kind the key that names a region of its cloud.  Own GPUs may stand in a region that no cloud has."""

_MANY = 12
"""More shares than this are not spelled out."""

_HOSTS, _MODELS, _RESIDENCY = "corral:hosts", "corral:models", "corral:residency"
_GATEWAY = "corral:gateway"


def check_consistency(parts: Mapping[str, Any], catalog: Catalog, report: Report) -> None:
    """`parts`: the values under `corral:` by part, each host with its kind."""
    hosts = mapping(parts.get("hosts"))
    models = mapping(parts.get("models"))
    for name, host in hosts.items():
        _check_host(name, mapping(host), catalog, report)
    known_models = {*catalog.models, *_listed_by_hosts(hosts)}
    for name, model in models.items():
        if name not in known_models and not report.is_void((_MODELS, name)):
            report.add(
                (_MODELS, name),
                f"no model of that name in the catalog, nor under `models` or `modelWeights` of a host"
                f"{correction(name, known_models)}",
            )
        _check_model(name, mapping(model), hosts, catalog, report)
    if mapping(parts.get("engine")).get("kind") == "kubernetes":
        _check_azure_is_told_what_to_deploy(hosts, models, report)
    check_places(parts.get("residency"), (_RESIDENCY,), catalog, report)
    check_tenants(parts, catalog, report)
    _check_gateway(mapping(parts.get("gateway")), mapping(parts.get("cluster")), report)


def _check_model(
    name: str, model: Mapping[str, Any], hosts: Mapping[str, Any], catalog: Catalog, report: Report
) -> None:
    shares, fallback = mapping(model.get("shares")), _list(model.get("fallback"))
    keys = (_MODELS, name)
    if hosts:
        for host in shares:
            _check_declared(host, (*keys, "shares", host), hosts, catalog, report)
        for place, host in enumerate(fallback):
            if isinstance(host, str):
                _check_declared(host, (*keys, "fallback", place), hosts, catalog, report)
    for place, host in enumerate(fallback):
        if isinstance(host, str) and (first := fallback.index(host)) < place:
            report.add((*keys, "fallback", place), f"{named(host)} is at fallback[{first}] already: remove one of them")
    _check_sum(shares, (*keys, "shares"), report)
    check_places(model.get("residency"), (*keys, "residency"), catalog, report)


def _check_declared(host: str, keys: Keys, hosts: Mapping[str, Any], catalog: Catalog, report: Report) -> None:
    if host in hosts or report.is_void(keys):
        return
    if host in catalog.hosts and nearest(host, hosts) is None:
        report.add(keys, f"{host} is not under {_HOSTS}: add `{host}: {{}}` there")
    else:
        report.add(keys, f"no such host under {_HOSTS}{correction(host, hosts)}")


def _check_sum(shares: Mapping[str, Any], keys: Keys, report: Report) -> None:
    if not shares or not all(_is_percentage(share) for share in shares.values()):
        return
    if (total := sum(shares.values())) == 100:
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


def _check_host(name: str, host: Mapping[str, Any], catalog: Catalog, report: Report) -> None:
    gpus = mapping(host.get("gpus"))
    least, most = gpus.get("min"), gpus.get("max")
    if _is_whole(least) and _is_whole(most) and least > most:
        report.add((_HOSTS, name, "gpus"), f"min {least} is above max {most}: raise max or lower min")
    regions = {region for region, place in catalog.places.items() if region != place}
    for kind, key in _CLOUD_REGIONS.items():
        region = host.get(key)
        if host.get("kind") == kind and isinstance(region, str) and region not in regions:
            report.add((_HOSTS, name, key), f"no region {named(region)} is known{correction(region, regions)}")


def _check_azure_is_told_what_to_deploy(hosts: Mapping[str, Any], models: Mapping[str, Any], report: Report) -> None:
    for name, host in ((name, mapping(host)) for name, host in hosts.items()):
        if host.get("kind") != "azure" or {"url", "resource"} & host.keys() or report.is_void((_HOSTS, name)):
            continue
        keys = (_HOSTS, name)
        if "location" not in host:
            report.add(keys, "has no location to be provisioned in: add one, for instance `location: eastus2`")
        capacity = mapping(host.get("capacity"))
        for model, said in models.items():
            places = (*mapping(mapping(said).get("shares")), *_list(mapping(said).get("fallback")))
            if report.is_void((*keys, "capacity")) or report.is_void((_MODELS, model)):
                continue
            if name in places and model not in capacity:
                report.add(
                    (*keys, *(["capacity"] if capacity else [])),
                    f"no capacity is given to {model}, which is to be deployed there: add it, for instance "
                    f"`capacity: {{{model}: 200}}`, in thousand tokens a minute",
                )


def _check_gateway(gateway: Mapping[str, Any], cluster: Mapping[str, Any], report: Report) -> None:
    certificate, keys = mapping(gateway.get("certificate")), (_GATEWAY, "certificate")
    if gateway.get("public") is True and "certificate" not in gateway:
        report.add((_GATEWAY, "public"), f"API keys would cross the internet in the open: give {_GATEWAY}.certificate")
    if "issuer" in certificate and "hostname" not in gateway:
        report.add((*keys, "issuer"), f"issues for a name: give {_GATEWAY}.hostname")
    if "acm" in certificate and "kubeconfig" in cluster:
        report.add((*keys, "acm"), "is for a load balancer of AWS, on EKS: elsewhere give `secret` or `issuer`")
    replicas = mapping(gateway.get("replicas"))
    least, most = replicas.get("min", Replicas().min), replicas.get("max", Replicas().max)
    if _is_whole(least) and _is_whole(most) and least > most:
        report.add((_GATEWAY, "replicas"), f"min {least} is above max {most}: raise max or lower min")


def _listed_by_hosts(hosts: Mapping[str, Any]) -> Collection[str]:
    return {
        model
        for host in hosts.values()
        for key in ("models", "modelWeights")
        for model in mapping(mapping(host).get(key))
    }


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_percentage(value: Any) -> bool:
    return _is_whole(value) and 0 <= value <= 100


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
