"""What a stack asks of this machine: its plan, where its hosts are, and their keys."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import certifi

from components.adapter.hosts import AdaptedHost
from components.checks.findings import Finding
from components.config.stack import Engine as EngineSettings
from components.embedded.adapted import adapted_host, needs_adapter
from components.embedded.adapter import Address
from components.embedded.callers import Callers, callers
from components.embedded.errors import EngineError
from components.embedded.placement import Placement, Simulate, place
from components.hosts.bedrock.clients import signed_in
from components.plan.plan import Plan, Target
from components.render.envoy.link import Link
from components.simulated.hosts import SimulatedHost, simulated_hosts
from components.tenants.proofs import UnfitProofError, public_keys


@dataclass(frozen=True)
class Loaded:
    """A stack file that was read, planned and checked."""

    file: Path
    settings: EngineSettings
    plan: Plan
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Desired:
    """A plan, placed on this machine."""

    loaded: Loaded
    placements: Mapping[str, Placement]
    simulated: tuple[SimulatedHost, ...] = field(repr=False)
    callers: Callers

    @property
    def plan(self) -> Plan:
        return self.loaded.plan

    def links(self, simulated_port: int | None, adapter: Address) -> dict[str, Link]:
        """How Envoy reaches each live host: the simulated ones at a loopback port, some through the adapter."""
        stand_ins = {host.name: host for host in self.simulated}
        links: dict[str, Link] = {}
        for target in _live_targets(self.plan).values():
            stand_in = stand_ins.get(target.host)
            if needs_adapter(target):
                links[target.host] = Link(target.host, adapter.url(target.host), "authorization", None)
            elif stand_in is not None:
                links[target.host] = Link(target.host, stand_in.base_url(simulated_port or 0), stand_in.header, None)
            else:
                links[target.host] = Link(
                    target.host, target.url or "", target.credential.header, self._trusted(target)
                )
        return links

    def adapted(self, simulated_port: int | None) -> tuple[AdaptedHost, ...]:
        """How the adapter reaches the hosts behind it."""
        stand_ins = {host.name: host for host in self.simulated}
        return tuple(
            adapted_host(
                self.plan,
                host,
                stand_ins.get(host),
                simulated_port or 0,
                self.placements[host].key,
                None if host in stand_ins else self._trusted_by_adapter(target),
            )
            for host, target in _live_targets(self.plan).items()
            if needs_adapter(target)
        )

    def secrets(self, links: Mapping[str, Link], adapter: Address) -> dict[str, str]:
        """Per link the whole value of the header that carries its key; the adapter keeps those of its hosts itself."""
        keys = {host: placement.key for host, placement in self.placements.items()}
        keys |= {host.name: host.key for host in self.simulated}
        keys |= {host: adapter.token for host, target in _live_targets(self.plan).items() if needs_adapter(target)}
        return {
            link.name: f"Bearer {key}" if link.header == "authorization" else key
            for host, link in links.items()
            if link.header and (key := keys[host])
        }

    def why_simulated(self) -> dict[str, str | None]:
        """Per host why it is simulated; None: it is the real one."""
        return {host: placement.simulated for host, placement in self.placements.items()}

    def public_keys(self) -> dict[str, str]:
        """Per issuer whose keys lie in a file what is in it.  Raises EngineError."""
        try:
            return public_keys(self.plan.issuers, self.loaded.file.parent)
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
        path = (self.loaded.file.parent / target.ca).resolve()
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


def _live_targets(plan: Plan) -> dict[str, Target]:
    return {target.host: target for model in plan.models for target in model.targets if target.live}


def desire(
    loaded: Loaded,
    mode: Simulate,
    environment: Mapping[str, str],
    stand_in_keys: Mapping[str, str],
    made_before: Mapping[str, str],
) -> Desired:
    """Places a stack's hosts, and finds out who may call.

    `stand_in_keys` gives the key of any simulated host, `made_before` the tenants' keys that this run has made.  Raises
    EngineError.
    """
    placements, unreachable = place(loaded.plan, mode, environment, signed_in)
    if unreachable:
        raise EngineError(
            "These hosts cannot be reached from this machine:\n"
            + "\n".join(f"  {host.message}" for host in unreachable)
        )
    names = [host for host, placement in placements.items() if placement.simulated]
    keys = {name: stand_in_keys[name] for name in names}
    rehearsal = mode == "always" or loaded.plan.engine == "kubernetes"
    who = callers(loaded.plan, environment, rehearsal, made_before)
    return Desired(loaded, placements, simulated_hosts(loaded.plan, names, keys), who)
