"""What the parts of a stack must have in common, beyond the shape of each.

The shares of a model sum to 100.  Every host that a model names is declared, and no fallback is named twice.  Every
model is one the catalog knows or a host of the stack lists.  Places and regions are known ones.  Whether a host serves
a model, and whether a residency holds, is for the checks of the plan.

Looks at plain values, of which any part may be missing or of a wrong type; that is said elsewhere, and here left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard, cast

from components.catalog.catalog import Catalog
from components.config.errors import Keys, Mark, Report
from components.config.gateway import Replicas
from components.config.names import correction, listed, named, nearest
from components.config.places import check_places
from components.config.tenancy import check_tenants
from components.config.usable import mapping

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
                f"no model of that name in the catalog, nor under `models` or `weights` of a host"
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
        model for host in hosts.values() for key in ("models", "weights") for model in mapping(mapping(host).get(key))
    }


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_percentage(value: Any) -> bool:
    return _is_whole(value) and 0 <= value <= 100


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
