"""The whole of Envoy's configuration for one plan: which file holds what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from components.plan.plan import Plan
from components.render.envoy import listeners, routes
from components.render.envoy.clusters import host_cluster, model_clusters
from components.render.envoy.link import Link
from components.render.envoy.names import GATEWAY, RELAY, TYPE, Files, Resource
from components.render.envoy.routes import Attempts


@dataclass(frozen=True)
class Configuration:
    """What the files hold, by name.  Keys are not in here; they go into the secret files alone."""

    clusters: dict[str, Resource]
    listeners: dict[str, Resource]
    gateway: Resource
    """The route table that clients meet."""
    attempts: Attempts
    """The relay's routes."""


def render(plan: Plan, links: Mapping[str, Link], address: str, port: int, files: Files) -> Configuration:
    """Renders a plan that has no errors; `links` has an entry for each of its live hosts."""
    clusters = (
        *(host_cluster(link, plan.limits, files) for link in links.values()),
        *(cluster for model in plan.models for cluster in model_clusters(model, plan.limits)),
    )
    return Configuration(
        clusters={cluster["name"]: cluster for cluster in clusters},
        listeners={
            RELAY: listeners.relay(plan.limits, files),
            GATEWAY: listeners.gateway(address, port, plan.limits, files),
        },
        gateway=routes.gateway_routes(plan),
        attempts=routes.attempts(plan, links),
    )


def secret(link: str, value: str) -> Resource:
    """The secret that the cluster of a link injects: the whole value of its header."""
    return {
        "@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": link,
        "generic_secret": {"secret": {"inline_string": value}},
    }


def discovery(resources: Iterable[Resource]) -> tuple[str, str]:
    """A file of resources as Envoy reads it, and its version: a hash of what is in it."""
    listed = json.dumps(list(resources))
    version = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return version, f'{{"version_info": "{version}", "resources": {listed}}}'
