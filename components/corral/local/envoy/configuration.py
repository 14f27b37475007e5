"""The whole of Envoy's configuration for one plan: which file holds what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from corral.local.envoy import jwt, listeners, module, routes
from corral.local.envoy.clusters import host_cluster
from corral.local.envoy.names import CERTIFICATE, Files
from corral.local.envoy.resource import Resource, typed
from corral.local.envoy.upstream import Upstream
from corral.plan.plan import Plan


@dataclass(frozen=True)
class Site:
    """Where the gateway listens, and where the files are that outlive a configuration."""

    address: str
    port: int
    files: Files
    log: Path
    """The access log."""
    mirrored: Path
    """Where it is written down what became of copies of requests."""
    tls: bool
    """Whether clients speak TLS with it."""
    public_keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Per issuer its keys (JWKS), where the stack has a file of them."""
    trusted: str = ""
    """The PEM file of the certificates this machine trusts."""

    @property
    def url(self) -> str:
        """What a client's base URL is."""
        address = "127.0.0.1" if self.address == "0.0.0.0" else self.address  # noqa: S104 (compared, not bound)
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{f'[{address}]' if ':' in address else address}:{self.port}/v1"


@dataclass(frozen=True)
class Configuration:
    """What the files hold, by name.  No secrets are in here."""

    clusters: dict[str, Resource]
    listener: Resource
    key_files: dict[str, Path]
    """By upstream, of those that take a key."""
    routes: Resource = field(repr=False)
    """The table of routes."""
    plan_files: Mapping[Path, str] = field(repr=False, default_factory=dict[Path, str])
    """What the module knows, by the file that the table names."""


@dataclass(frozen=True)
class Secrets:
    """What lies in files of its own, and nowhere else."""

    keys: Mapping[str, str] = field(repr=False)
    """By name of the upstreams that take one: the whole value of the header with the key."""
    certificate: Resource | None = field(repr=False, default=None)
    """What the gateway's listener ends TLS with."""


def render(
    plan: Plan,
    upstreams: Mapping[str, Upstream],
    keys: Mapping[str, str],
    site: Site,
    secrets: Secrets,
    budgets: module.BudgetFile | None = None,
) -> Configuration:
    """Renders a plan that has no errors; `upstreams` has an entry for each of its live hosts, `keys` are the tenants by
    the SHA-256 of their keys.  Of the secrets it takes what their files are called by."""
    shared = (
        *(host_cluster(upstream, plan.request_settings) for upstream in upstreams.values()),
        *jwt.clusters(plan.issuers, plan.request_settings, site.trusted),
    )
    verifiers = jwt.verifiers(plan.issuers, site.public_keys, site.trusted)
    key_files = {name: site.files.key(name, value) for name, value in secrets.keys.items()}
    text = module.plan_text(plan, keys, upstreams, key_files, budgets, site.mirrored)
    plan_file = site.files.plan(text)
    candidates = sorted({upstreams[model.candidate.host].name for model in plan.models if model.candidate})
    return Configuration(
        clusters={cluster["name"]: cluster for cluster in shared},
        listener=listeners.gateway(
            site.address, site.port, plan.request_settings, site.files, site.log, verifiers, tls=site.tls
        ),
        key_files=key_files,
        routes=routes.gateway_routes(plan, plan_file, site.files, candidates),
        plan_files={plan_file: text},
    )


def certificate(chain: str, key: str) -> Resource:
    """The secret that the gateway's listener ends TLS with, both in PEM."""
    fields = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}
    return typed("extensions.transport_sockets.tls.v3.Secret", {"name": CERTIFICATE, "tls_certificate": fields})


def discovery(texts: Iterable[str]) -> tuple[str, str]:
    """A file of resources as Envoy reads it, and its version: a hash of what is in it."""
    listed = f"[{','.join(texts)}]"
    version = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return version, f'{{"version_info":"{version}","resources":{listed}}}'
