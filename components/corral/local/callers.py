"""Whose key is whose on this machine: the hashes in the stack file, keys in the environment, and keys of the run's own.

Policy.  The environment adds to what the stack declares.  In a rehearsal a tenant without any key gets one for this
run; otherwise that is refused, as nobody could call as this tenant.  A tenant for whom an issuer may vouch needs no
key.  No key is two tenants'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from corral.local.errors import EngineError
from corral.plan.callers import TenantPlan
from corral.plan.credentials import InvalidKeyError, hash_of
from corral.plan.plan import Plan
from corral.plan.tenants import keys_variable


@dataclass(frozen=True)
class Callers:
    """Those who may call."""

    hashes: Mapping[str, str]
    """Per SHA-256 of a key, in hexadecimal, its tenant."""
    generated: Mapping[str, str] = field(repr=False)
    """Per tenant the key that was generated for this run, in plain."""


def callers(plan: Plan, environment: Mapping[str, str], own_keys: Mapping[str, str] | None) -> Callers:
    """`own_keys` gives the run's own key for any tenant; None: this is no rehearsal.  Raises EngineError."""
    hashes: dict[str, str] = {}
    generated: dict[str, str] = {}
    for tenant in plan.tenants:
        sources = {**dict.fromkeys(tenant.keys, "corral:tenants"), **dict(_in_environment(tenant.name, environment))}
        if own_keys is not None and not sources and not tenant.claims:
            generated[tenant.name] = own_keys[tenant.name]
            sources = {hash_of(generated[tenant.name]): "this run"}
        for digest, source in sources.items():
            if digest in hashes:
                raise EngineError(
                    f"A key of {tenant.name} ({source}) is one of {hashes[digest]}'s too, and a key is one tenant's. "
                    "Take it from one of them."
                )
            hashes[digest] = tenant.name
    without = [tenant for tenant in plan.tenants if not tenant.claims and tenant.name not in hashes.values()]
    if without:
        raise EngineError("\n".join(map(_nobody_could_call, without)))
    return Callers(hashes, generated)


def refuse_strangers(plan: Plan, address: str) -> None:
    """Raises EngineError where other machines could call, and nobody asks who they are."""
    if not plan.tenants and not ip_address(address).is_loopback:
        raise EngineError(
            f"At {address} other machines could call, and nobody would ask who they are. Declare corral:tenants, for "
            "instance {search: {}}, or listen on 127.0.0.1."
        )


def _in_environment(tenant: str, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The hash of each key in the environment, and the variable's name."""
    variable = keys_variable(tenant)
    for key in filter(None, map(str.strip, environment.get(variable, "").split(","))):
        try:
            yield hash_of(key), variable
        except InvalidKeyError as why:
            raise EngineError(f"A key in {variable} {why}. Make one with: corral key new {tenant}") from None


def _nobody_could_call(tenant: TenantPlan) -> str:
    return (
        f"Nobody could call as {tenant.name}, which has no key. Make one with: corral key new {tenant.name}. Its hash "
        f"belongs into the stack file, or the key into {keys_variable(tenant.name)}; or rehearse with --simulate."
    )
