"""Where a plan's hosts are on this machine: real or simulated, behind the adapter or not, and with which key.

Policy.  `never`: every host is real, and one that cannot be reached from here is an error with the way out.
`withoutKey`: a host is real if its key is on this machine (or it wants none) and its URL is known, else simulated.
`always`: every host is simulated, whatever keys there are.  Bedrock has no key: it is real where a region is named and
this machine has AWS credentials, from wherever boto3 takes them.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

from corral.config.stack import CertificateFiles
from corral.hosts.adapted.description import AdaptedHost, AwsKey, BedrockHost, ReplicateHost, model_facts
from corral.hosts.azure.entra import WAY_OUT
from corral.hosts.keys import keys_here
from corral.hosts.probing import HostError
from corral.hosts.verify import signed_in
from corral.local.callers import Callers, callers
from corral.local.envoy.upstream import Upstream
from corral.local.errors import EngineError
from corral.plan.checks.run import CheckedStack
from corral.plan.credentials import InvalidCredentialError, public_keys
from corral.plan.plan import Plan, Target
from corral.simulated.hosts import SimulatedHost, simulated_hosts
from corral.simulated.loopback import LOOPBACK

Simulate = Literal["never", "withoutKey", "always"]


@dataclass(frozen=True)
class Placement:
    """One host on this machine."""

    host: str
    simulated: str | None
    """Why it is simulated; None: it is the real one."""
    key: str | None = field(repr=False, default=None)
    """The real host's key."""


@dataclass(frozen=True)
class Unreachable:
    """A host that has to be real and cannot be."""

    host: str
    message: str


def _obstacle(target: Target, keys: Mapping[str, str], signed_in: Callable[[], bool]) -> tuple[str, str] | None:
    """What keeps a host from being real here, and the way out."""
    source = target.credential.source
    if target.credential.ambient:
        if target.region is None:
            return "no AWS region is named", f"name it in corral:hosts.{target.host}.region or aws:region"
        return (
            None if signed_in() else ("no AWS credentials", "sign in to AWS (environment, profile or single sign-on)")
        )
    if target.url is None:
        return "no url before it is provisioned", f"give its url under corral:hosts.{target.host}"
    if target.credential.entra:
        return None if target.host in keys else ("no token of Entra to be had here", WAY_OUT)
    if target.credential.header and not source:
        return "no variable is named for its key", ""
    if target.credential.header and target.host not in keys:
        return f"no key in {source}", "write it there" if target.credential.key_file else f"set {source}"
    return None


def place(
    plan: Plan, mode: Simulate, keys: Mapping[str, str], signed_in: Callable[[], bool]
) -> tuple[dict[str, Placement], tuple[Unreachable, ...]]:
    """Places every live host of a plan; `keys` are by host, `signed_in` tells of AWS credentials."""
    placements: dict[str, Placement] = {}
    unreachable: list[Unreachable] = []
    for host, target in plan.live_hosts.items():
        if mode == "always":
            placements[host] = Placement(host, "asked for")
            continue
        obstacle, way_out = _obstacle(target, keys, signed_in) or (None, "")
        if obstacle is None:
            placements[host] = Placement(host, None, keys[host] if target.credential.header else None)
        elif mode == "withoutKey":
            placements[host] = Placement(host, obstacle)
        else:
            way_out = f"{way_out}, or rehearse" if way_out else "rehearse"
            unreachable.append(Unreachable(host, f"{host}: {obstacle}; {way_out} with --simulate"))
    return placements, tuple(unreachable)


def past_proxy(plan: Plan, simulated: Mapping[str, str | None]) -> list[str]:
    """The real hosts that the environment's `HTTPS_PROXY` is meant for, and that Envoy, which knows none, calls itself.

    Bedrock and Replicate are called by the adapter, through the proxy.
    """
    proxies = getproxies()
    urls = {
        host: urlsplit(target.url)
        for host, target in plan.live_hosts.items()
        if simulated[host] is None and target.protocol == "openai" and target.url
    }
    return [host for host, url in urls.items() if url.scheme in proxies and not proxy_bypass(url.netloc)]


def unguarded(plan: Plan, simulated: Mapping[str, str | None]) -> list[str]:
    """The real hosts that are called without the guardrail which the stack gives them, in order of name.

    `simulated` says per live host why it is simulated.
    """
    guarded = {target.host for target in plan.hosts.values() if target.guarded}
    return sorted(host for host, why in simulated.items() if why is None and host in guarded)


def needs_adapter(target: Target) -> bool:
    """Whether Envoy alone does not speak with the host."""
    return target.protocol != "openai"


def adapted_host(
    plan: Plan, name: str, simulated: SimulatedHost | None, port: int, key: str | None, ca: str | None
) -> AdaptedHost:
    """The host `name` of a plan: the simulated one at this loopback port, or the real one with its key."""
    targets, facts = plan.at(name), model_facts(plan, name, on_cluster=False)
    target = next(iter(targets.values()))
    common: dict[str, Any] = {
        "name": name,
        "url": simulated.base_url(port) if simulated else target.url or "",
        "ca": ca,
        "models": {each.model_id: facts[model] for model, each in targets.items()},
        "connect_timeout": plan.request_settings.connect_timeout,
        "idle_timeout": plan.request_settings.idle_timeout,
    }
    own_key = simulated.key if simulated else key
    if target.protocol == "bedrock-converse":
        # Of a simulated Bedrock's key the secret alone counts.
        signing = AwsKey(id="simulated", secret=own_key) if simulated and own_key else None
        return BedrockHost(region=target.region or "", key=signing, **common)
    return ReplicateHost(key=own_key or "", **common)


@dataclass(frozen=True)
class Address:
    """Where a program of ours serves on loopback, and the token it wants to be shown."""

    port: int
    token: str = field(repr=False)

    @property
    def origin(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


@dataclass(frozen=True)
class Certificate:
    """What the gateway's listener ends TLS with, in PEM."""

    chain: str
    key: str = field(repr=False)


def read_certificate(files: CertificateFiles, folder: Path) -> Certificate:
    """Reads both files, which lie relative to `folder`.  Raises EngineError where they are not there or do not fit."""
    texts: list[str] = []
    for name, path in (("certFile", folder / files.cert_file), ("keyFile", folder / files.key_file)):
        try:
            texts.append(path.read_text())
        except (OSError, UnicodeError) as reason:
            why = reason.strerror if isinstance(reason, OSError) else "it is no text"
            raise EngineError(f"corral:engine.certificate.{name} names {path}, which cannot be read: {why}.") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            folder / files.cert_file, folder / files.key_file, password=lambda: ""
        )
    except ssl.SSLError as reason:
        why = "the key is another certificate's" if "MISMATCH" in str(reason.reason) else "they cannot be read as PEM"
        raise EngineError(
            f"corral:engine.certificate: {files.cert_file} and {files.key_file} do not go together: {why}. Give a "
            "certificate and its own key, without a passphrase."
        ) from None
    return Certificate(*texts)


@dataclass(frozen=True)
class Desired:
    """What a stack asks of this machine: its plan, where its hosts are, and who may call."""

    stack: CheckedStack
    placements: Mapping[str, Placement]
    simulated: tuple[SimulatedHost, ...] = field(repr=False)
    callers: Callers
    certificate: Certificate | None
    public_keys: Mapping[str, str]
    """Per issuer whose keys lie in a file what is in it."""
    ca_digests: Mapping[str, str] = field(default_factory=dict[str, str])
    """Per host with a file of certificates to trust the SHA-256 of what is in it."""

    @property
    def plan(self) -> Plan:
        return self.stack.plan

    @cached_property
    def _stand_ins(self) -> dict[str, SimulatedHost]:
        return {host.name: host for host in self.simulated}

    def upstreams(self, simulated_port: int, adapter: Address) -> dict[str, Upstream]:
        """How Envoy reaches each live host: the simulated ones at a loopback port, some through the adapter."""
        upstreams: dict[str, Upstream] = {}
        for host, target in self.plan.live_hosts.items():
            stand_in = self._stand_ins.get(host)
            if needs_adapter(target):
                upstreams[host] = Upstream(host, f"{adapter.origin}/{host}/v1", "authorization", None)
            elif stand_in:
                upstreams[host] = Upstream(host, stand_in.base_url(simulated_port), stand_in.header, None)
            else:
                ca, digest = self._trusted(target), self.ca_digests.get(host, "")
                upstreams[host] = Upstream(host, target.url or "", target.credential.header, ca, digest)
        return upstreams

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

    def adapted(self, simulated_port: int) -> tuple[AdaptedHost, ...]:
        """How the adapter reaches the hosts behind it."""
        hosts: list[AdaptedHost] = []
        for host, target in self.plan.live_hosts.items():
            if needs_adapter(target):
                stand_in, key = self._stand_ins.get(host), self.placements[host].key
                # AWS's own settings say what to trust (`AWS_CA_BUNDLE`), unless the stack does.
                own = stand_in or (target.credential.ambient and target.ca is None)
                ca = None if own else self._trusted(target)
                hosts.append(adapted_host(self.plan, host, stand_in, simulated_port, key, ca))
        return tuple(hosts)

    def why_simulated(self) -> dict[str, str | None]:
        """Per host why it is simulated; None: it is the real one."""
        return {host: placement.simulated for host, placement in self.placements.items()}

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


def _tokens(plan: Plan, token: Callable[[], str]) -> dict[str, str]:
    """By host that takes one; none where there is none to be had."""
    hosts = [host for host, target in plan.live_hosts.items() if target.credential.entra]
    try:
        return dict.fromkeys(hosts, token()) if hosts else {}
    except HostError:
        return {}


def desire(
    stack: CheckedStack,
    mode: Simulate,
    environment: Mapping[str, str],
    host_keys: Mapping[str, str],
    tenant_keys: Mapping[str, str],
    token: Callable[[], str],
) -> Desired:
    """Places a stack's hosts, and finds out who may call.  The keys are generated ones: for any simulated host, and for
    any tenant of a rehearsal.  `token` gives that of hosts which take one.  Raises EngineError."""
    plan = stack.plan
    keys = keys_here(plan, environment, stack.file.parent)
    if mode != "always":
        keys |= _tokens(plan, token)
    placements, unreachable = place(plan, mode, keys, signed_in)
    if unreachable:
        messages = "".join(f"\n  {host.message}" for host in unreachable)
        raise EngineError(f"These hosts cannot be reached from this machine:{messages}")
    simulated = {host: host_keys[host] for host, placement in placements.items() if placement.simulated}
    rehearsal = mode == "always" or plan.engine == "kubernetes"
    admitted = callers(plan, environment, tenant_keys if rehearsal else None)
    files = stack.settings.certificate
    certificate = read_certificate(files, stack.file.parent) if files else None
    try:
        vouching = public_keys(plan.issuers, stack.file.parent)
    except InvalidCredentialError as reason:
        raise EngineError(f"{reason}.") from None
    stand_ins = simulated_hosts(plan, simulated, simulated)
    return Desired(stack, placements, stand_ins, admitted, certificate, vouching, _ca_digests(plan, stack.file.parent))


def _ca_digests(plan: Plan, folder: Path) -> dict[str, str]:
    named = {host: folder / target.ca for host, target in plan.live_hosts.items() if target.ca}
    return {host: sha256(path.read_bytes()).hexdigest() for host, path in named.items() if path.is_file()}
