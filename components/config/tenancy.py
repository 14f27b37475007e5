"""What tenants must have in common with the rest of a stack, beyond the shape of each.

The models they name are the stack's.  A key, and a value of an issuer's claim, is one tenant's.  An issuer says in one
way where its keys are.  Other machines call the embedded engine only where there are tenants.

Looks at plain values, of which any part may be missing or of a wrong type; that is said elsewhere, and here left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, cast

from components.catalog.catalog import Catalog
from components.config.errors import Keys, Report
from components.config.names import correction, named
from components.config.places import check_places
from components.config.usable import mapping

_TENANTS, _ISSUERS = "corral:tenants", "corral:issuers"


def check_tenants(parts: Mapping[str, Any], catalog: Catalog, report: Report) -> None:
    """`parts`: the values under `corral:` by part."""
    tenants, models, issuers = mapping(parts.get("tenants")), mapping(parts.get("models")), _list(parts.get("issuers"))
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
    if engine.get("kind", "embedded") != "embedded" or not isinstance(address, str):
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
    return [(at, item) for at, item in enumerate(_list(value)) if isinstance(item, str)]


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
