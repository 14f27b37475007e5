"""The whole of Envoy's configuration for one plan: which file holds what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from corral.local.envoy import jwt as tokens
from corral.local.envoy import listeners, routes
from corral.local.envoy.clusters import ModelTexts, host_cluster
from corral.local.envoy.names import GATEWAY, TYPE, Files, Resource, text_of
from corral.local.envoy.routes import own_models
from corral.local.envoy.upstream import Link
from corral.plan.plan import Plan


@dataclass(frozen=True)
class Site:
    """Where the gateway listens, and where the files are that outlive a configuration."""

    address: str
    port: int
    files: Files
    log: Path
    """The access log."""
    public_keys: Mapping[str, str]
    """Per issuer its keys (JWKS), where the stack has a file of them."""
    trusted: str
    """The PEM file of the certificates this machine trusts."""


@dataclass(frozen=True)
class Configuration:
    """What the files hold, by name.  Keys of hosts are not in here; they go into the secret files alone."""

    clusters: dict[str, str]
    """As texts: there are many, and hardly any of them changes from one plan to the next."""
    listeners: dict[str, Resource]
    links: dict[str, Link]
    """By name: whose keys the filters of attempts know."""
    routes: Resource = field(repr=False)
    """The table of routes."""


def render(
    plan: Plan, links: Mapping[str, Link], keys: Mapping[str, str], site: Site, texts: ModelTexts
) -> Configuration:
    """Renders a plan that has no errors; `links` has an entry for each of its live hosts, `keys` are the tenants by
    the SHA-256 of their keys.  `texts` knows what was rendered before."""
    shared = (
        *(host_cluster(link, plan.limits, site.files) for link in links.values()),
        *tokens.clusters(plan.issuers, plan.limits, site.trusted, site.files),
    )
    verifier = tokens.verifier(plan.issuers, site.public_keys, site.trusted)
    return Configuration(
        clusters={
            **{cluster["name"]: text_of(cluster) for cluster in shared},
            **texts.of(own_models(plan), links, plan.limits),
        },
        listeners={
            **{link.name: listeners.to_host(link) for link in links.values() if not link.is_plain},
            GATEWAY: listeners.gateway(site.address, site.port, plan.limits, site.files, site.log, verifier),
        },
        links={link.name: link for link in links.values()},
        routes=routes.gateway_routes(plan, keys),
    )


def secret(link: str, value: str) -> Resource:
    """The secret that the filter of a link injects: the whole value of its header."""
    return {
        "@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": link,
        "generic_secret": {"secret": {"inline_string": value}},
    }


def discovery(texts: Iterable[str]) -> tuple[str, str]:
    """A file of resources as Envoy reads it, and its version: a hash of what is in it."""
    listed = f"[{','.join(texts)}]"
    version = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return version, f'{{"version_info":"{version}","resources":{listed}}}'
