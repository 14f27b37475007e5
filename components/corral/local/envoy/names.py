"""What things are called inside Envoy, and the files they are read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GATEWAY = "gateway"
"""The listener clients connect to, and its route table."""

ATTEMPT = "attempt"
"""The upstream filter, by which its configuration is found."""

CERTIFICATE = "certificate"
"""The secret that the gateway's listener ends TLS with."""

MODEL_HEADER = "x-corral-model"
"""The model a request asks for, and the residency where its tenant has one; set by the gateway's first filter."""

TENANT_HEADER = "x-corral-tenant"
"""Who calls; set by the gateway's first filter."""

READ_HEADER = "x-corral-read"
"""The gateway's first filter has let a request pass that is for no model of the stack; what it is answered is known."""

CLAIMS_HEADER = "x-corral-claims"
"""Tells the gateway's filter the claims of a token that Envoy has verified, as JSON."""

TOKEN_FAILURE_HEADER = "x-corral-token-failure"  # noqa: S105
"""Tells it why Envoy does not take a token."""

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
    def module(self) -> Path:
        """The module that Envoy loads, compiled."""
        return self.root / "corral.so"

    @property
    def admin_socket(self) -> Path:
        return self.root / "admin.sock"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def certificate(self) -> Path:
        return self.secrets / "certificate.json"

    def key(self, upstream: str, version: str) -> Path:
        """The file with the whole value of the header that a host takes its key in."""
        return self.secrets / f"{upstream.replace('/', '-')}.{version}"


CLUSTERS_VERSION = "cluster_manager.cds.version_text"
LISTENERS_VERSION = "listener_manager.lds.version_text"
ROUTES_VERSION = f"http.{GATEWAY}.rds.{GATEWAY}.version_text"
"""The statistic that tells which version of a file is in force; likewise the functions below."""


def filter_version(name: str) -> str:
    return f"extension_config_discovery.upstream_http_filter.{name}.version_text"


CERTIFICATE_VERSION = f"sds.{CERTIFICATE}.version_text"


def statistic(name: str) -> str:
    """How a name stands in the names of statistics: Envoy writes none with a colon."""
    return name.replace(":", "_")


def active_requests(cluster: str) -> str:
    """The statistic that counts the requests a cluster has not finished."""
    return f"cluster.{statistic(cluster)}.upstream_rq_active"
