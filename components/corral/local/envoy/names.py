"""What things are called inside Envoy, and the files they are read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GATEWAY = "gateway"
"""The listener clients connect to, and its route table."""

CREDENTIALS, ATTEMPT = "credentials", "attempt"
"""Two upstream filters, by which their configuration is found."""

CERTIFICATE = "certificate"
"""The secret that the gateway's listener ends TLS with; those of upstreams have a slash in their names."""

MODEL_HEADER = "x-corral-model"
"""The model a request asks for, and the residency where its tenant has one; set by the gateway's first filter."""

TENANT_HEADER = "x-corral-tenant"
"""Who calls; set by the gateway's first filter."""

READ_HEADER = "x-corral-read"
"""The gateway's first filter has let a request pass that is for no model of the stack; what it is answered is known."""

LINK_HEADER = "x-corral-link"
"""Tells the upstream filters which upstream an attempt goes to."""

TO_HEADER = "x-corral-to"
"""Tells the upstream filters how its host is called: `Host` header, path prefix and the host's id of the model."""

HOST_HEADER = "x-corral-host"
"""Tells the client which host answered."""

HOST_MODEL_HEADER = "x-corral-host-model"
"""Tells the client, and the filter that counts, by which id of the model that host was asked."""

HOST_REQUEST_ID_HEADER = "x-corral-host-request-id"
"""Tells the client the id under which the host knows the request; `x-request-id` is the gateway's own."""

ATTEMPTS_HEADER = "x-corral-attempts"
"""Tells the client how many hosts were tried."""

NAMESPACE = "corral"
"""Of our metadata, those of requests and those of the members of a model's clusters."""


def model_name(model: str) -> str:
    """The cluster of a model; behind a space, `model` may have the residency of a variant."""
    return f"model/{model}"


def link_name(model: str, priority: int) -> str:
    """The cluster of a model's hosts of one priority; no model's name has a space in it."""
    return f"{model_name(model)} {f'fallback {priority}' if priority else 'shares'}"


@dataclass(frozen=True)
class Files:
    """Where Envoy's configuration lies.  `root` is the directory of one running engine."""

    root: Path

    @property
    def bootstrap(self) -> Path:
        return self.root / "bootstrap.json"

    @property
    def clusters(self) -> Path:
        return self.root / "clusters.json"

    @property
    def listeners(self) -> Path:
        return self.root / "listeners.json"

    @property
    def routes(self) -> Path:
        return self.root / "routes.json"

    def filter(self, name: str) -> Path:
        return self.root / f"{name}-filter.json"

    @property
    def admin_socket(self) -> Path:
        return self.root / "admin.sock"

    def secret(self, upstream: str) -> Path:
        return self.root / "secrets" / f"{upstream.replace('/', '-')}.json"


CLUSTERS_VERSION = "cluster_manager.cds.version_text"
LISTENERS_VERSION = "listener_manager.lds.version_text"
ROUTES_VERSION = f"http.{GATEWAY}.rds.{GATEWAY}.version_text"
"""The statistic that tells which version of a file is in force; likewise the functions below."""


def filter_version(name: str) -> str:
    return f"extension_config_discovery.upstream_http_filter.{name}.version_text"


def secret_version(upstream: str) -> str:
    return f"sds.{upstream}.version_text"


def statistic(name: str) -> str:
    """How a name stands in the names of statistics: Envoy writes none with a colon."""
    return name.replace(":", "_")


def active_requests(cluster: str) -> str:
    """The statistic that counts the requests a cluster has not finished."""
    return f"cluster.{statistic(cluster)}.upstream_rq_active"
