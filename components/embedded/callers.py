"""Whose key is whose on this machine: the hashes in the stack file, keys in the environment, and keys made for the run.

Policy.  The environment adds to what the stack declares.  In a rehearsal a tenant whom nothing else could tell gets a
key for this run; otherwise that is refused, as nobody could call as this tenant.  A tenant for whom an issuer may vouch
needs no key.  No key is two tenants'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from components.embedded.errors import EngineError
from components.plan.plan import Plan, TenantPlan
from components.plan.tenancy import keys_variable
from components.tenants.keys import UnfitKeyError, hash_of, new_key


@dataclass(frozen=True)
class Callers:
    """Those who may call."""

    hashes: Mapping[str, str]
    """Per SHA-256 of a key, in hexadecimal, its tenant."""
    made: Mapping[str, str] = field(repr=False)
    """Per tenant the key that was made for this run, in plain."""


def callers(
    plan: Plan, environment: Mapping[str, str], rehearsal: bool, made_before: Mapping[str, str] | None = None
) -> Callers:
    """`made_before`: the keys that this run has made, for an earlier plan; they stay.  Raises EngineError."""
    hashes: dict[str, str] = {}
    made: dict[str, str] = {}
    unknown: list[TenantPlan] = []
    for tenant in plan.tenants:
        known = {**dict.fromkeys(tenant.keys, "corral:tenants"), **dict(_given(tenant.name, environment))}
        if not known and not tenant.claims:
            if rehearsal:
                made[tenant.name] = (made_before or {}).get(tenant.name) or new_key()
                known = {hash_of(made[tenant.name]): "this run"}
            else:
                unknown.append(tenant)
        for digest, source in known.items():
            if digest in hashes:
                raise EngineError(
                    f"A key of {tenant.name} ({source}) is one of {hashes[digest]}'s too, and a key is one tenant's. "
                    "Take it from one of them."
                )
            hashes[digest] = tenant.name
    if unknown:
        raise EngineError("\n".join(map(_nobody_could_call, unknown)))
    return Callers(hashes, made)


def refuse_strangers(plan: Plan, address: str) -> None:
    """Raises EngineError where other machines could call, and nobody asks who they are."""
    if not plan.tenants and not ip_address(address).is_loopback:
        raise EngineError(
            f"At {address} other machines could call, and nobody would ask who they are. Declare corral:tenants, for "
            "instance {search: {}}, or listen on 127.0.0.1."
        )


def _given(tenant: str, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The hash of each key in the environment, and the variable's name."""
    variable = keys_variable(tenant)
    for key in filter(None, map(str.strip, environment.get(variable, "").split(","))):
        try:
            yield hash_of(key), variable
        except UnfitKeyError as why:
            raise EngineError(f"A key in {variable} {why}. Make one with: corral key new {tenant}") from None


def _nobody_could_call(tenant: TenantPlan) -> str:
    return (
        f"Nobody could call as {tenant.name}, which has no key. Make one with: corral key new {tenant.name}. Its hash "
        f"belongs into the stack file, or the key into {keys_variable(tenant.name)}; or rehearse with --simulate."
    )
