"""Whose key is whose on this machine: the hashes in the stack file, keys in the environment, and keys made for the run.

Policy.  The environment adds to what the stack declares.  In a rehearsal a tenant whom nothing else could tell gets a
key for this run; otherwise that is refused, as nobody could call as this tenant.  A tenant for whom an issuer may vouch
needs no key.  No key is two tenants'.

What a stack asks of this machine: its plan, where its hosts are, and their keys.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from secrets import token_bytes

import certifi

from corral.hosts.verify import signed_in
from corral.local.adapter.hosts import AdaptedHost
from corral.local.envoy.upstream import Upstream
from corral.local.errors import EngineError
from corral.local.placement import Address, Placement, Simulate, adapted_host, needs_adapter, place
from corral.plan.checks.run import CheckedStack
from corral.plan.credentials import KEY_BYTES, UnfitKeyError, UnfitProofError, hash_of, key_of, public_keys
from corral.plan.plan import Plan, Target, TenantPlan
from corral.plan.tenants import keys_variable
from corral.simulated.hosts import SimulatedHost, simulated_hosts


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
                made[tenant.name] = (made_before or {}).get(tenant.name) or key_of(token_bytes(KEY_BYTES))
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


@dataclass(frozen=True)
class Desired:
    """A plan, placed on this machine."""

    stack: CheckedStack
    placements: Mapping[str, Placement]
    simulated: tuple[SimulatedHost, ...] = field(repr=False)
    callers: Callers

    @property
    def plan(self) -> Plan:
        return self.stack.plan

    def upstreams(self, simulated_port: int, adapter: Address) -> dict[str, Upstream]:
        """How Envoy reaches each live host: the simulated ones at a loopback port, some through the adapter."""
        stand_ins = {host.name: host for host in self.simulated}
        upstreams: dict[str, Upstream] = {}
        for target in self.plan.live_hosts.values():
            stand_in = stand_ins.get(target.host)
            if needs_adapter(target):
                upstreams[target.host] = Upstream(target.host, adapter.url(target.host), "authorization", None)
            elif stand_in is not None:
                upstreams[target.host] = Upstream(target.host, stand_in.base_url(simulated_port), stand_in.header, None)
            else:
                upstreams[target.host] = Upstream(
                    target.host, target.url or "", target.credential.header, self._trusted(target)
                )
        return upstreams

    def adapted(self, simulated_port: int) -> tuple[AdaptedHost, ...]:
        """How the adapter reaches the hosts behind it."""
        stand_ins = {host.name: host for host in self.simulated}
        return tuple(
            adapted_host(
                self.plan,
                host,
                stand_ins.get(host),
                simulated_port,
                self.placements[host].key,
                None if host in stand_ins else self._trusted_by_adapter(target),
            )
            for host, target in self.plan.live_hosts.items()
            if needs_adapter(target)
        )

    def secrets(self, upstreams: Mapping[str, Upstream], adapter: Address) -> dict[str, str]:
        """Per upstream the whole value of the header with its key; the adapter keeps those of its hosts itself."""
        keys = {host: placement.key for host, placement in self.placements.items()}
        keys |= {host.name: host.key for host in self.simulated}
        keys |= {host: adapter.token for host, target in self.plan.live_hosts.items() if needs_adapter(target)}
        return {
            upstream.name: f"Bearer {key}" if upstream.header == "authorization" else key
            for host, upstream in upstreams.items()
            if upstream.header and (key := keys[host])
        }

    def why_simulated(self) -> dict[str, str | None]:
        """Per host why it is simulated; None: it is the real one."""
        return {host: placement.simulated for host, placement in self.placements.items()}

    def public_keys(self) -> dict[str, str]:
        """Per issuer whose keys lie in a file what is in it.  Raises EngineError."""
        try:
            return public_keys(self.plan.issuers, self.stack.file.parent)
        except UnfitProofError as reason:
            raise EngineError(f"{reason}.") from None

    def _trusted_by_adapter(self, target: Target) -> str | None:
        """As `_trusted`; where AWS's own settings say what to trust (`AWS_CA_BUNDLE`) these stand."""
        return None if target.credential.ambient and target.ca is None else self._trusted(target)

    def _trusted(self, target: Target) -> str | None:
        if target.url is None or not target.url.startswith("https:"):
            return None
        if target.ca is None:
            return system_certificates()
        path = (self.stack.file.parent / target.ca).resolve()
        if not path.is_file():
            raise EngineError(f"corral:hosts.{target.host}.ca names {path}, which is not a file.")
        return str(path)


def system_certificates() -> str:
    """The PEM file of the certificates this machine trusts; certifi's where it has none."""
    named = os.environ.get("SSL_CERT_FILE")
    paths = ssl.get_default_verify_paths()
    for candidate in (named, paths.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if candidate and Path(candidate).is_file():
            return candidate
    return certifi.where()


def desire(
    stack: CheckedStack,
    mode: Simulate,
    environment: Mapping[str, str],
    stand_in_keys: Mapping[str, str],
    made_before: Mapping[str, str],
) -> Desired:
    """Places a stack's hosts, and finds out who may call.

    `stand_in_keys` gives the key of any simulated host, `made_before` the tenants' keys that this run has made.  Raises
    EngineError.
    """
    placements, unreachable = place(stack.plan, mode, environment, signed_in)
    if unreachable:
        raise EngineError(
            "These hosts cannot be reached from this machine:\n"
            + "\n".join(f"  {host.message}" for host in unreachable)
        )
    names = [host for host, placement in placements.items() if placement.simulated]
    keys = {name: stand_in_keys[name] for name in names}
    rehearsal = mode == "always" or stack.plan.engine == "kubernetes"
    who = callers(stack.plan, environment, rehearsal, made_before)
    return Desired(stack, placements, simulated_hosts(stack.plan, names, keys), who)
