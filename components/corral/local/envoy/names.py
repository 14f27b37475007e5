"""What things are called inside Envoy, and the files they are read from."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

GATEWAY = "gateway"
"""The listener clients connect to, and its route table."""

ATTEMPT = "attempt"
"""The upstream filter, as the module knows it."""

CERTIFICATE = "certificate"
"""The secret that the gateway's listener ends TLS with."""

MODEL_HEADER = "x-corral-model"
"""The model that a request asks for, where there is none of that name; set by the gateway's filter."""

TENANT_HEADER = "x-corral-tenant"
"""Who calls; set by the gateway's first filter."""

READ_STATE = "corral.read"
"""State of a request: the gateway's filter has let it pass, as it is for no model of the stack; what it is answered is
known.  No header: to search for one that is not there has Envoy build a table of all."""

CLAIMS_HEADER = "x-corral-claims"
"""Tells the gateway's filter the claims of a token that Envoy has verified, as JSON."""

TOKEN_FAILURE_HEADER = "x-corral-token-failure"  # noqa: S105
"""Tells it why Envoy does not take a token."""

HOST_HEADER = "x-corral-host"
"""Tells the client which host answered."""

ATTEMPTS_HEADER = "x-corral-attempts"
"""Tells the client how many hosts were tried."""


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

    def plan(self, text: str) -> Path:
        """The file with what the module knows of a plan; another text has another file."""
        return self.root / f"plan.{sha256(text.encode()).hexdigest()[:16]}"

    @property
    def plans(self) -> set[Path]:
        """Those that there are."""
        return {*self.root.glob("plan.*")}

    @property
    def module(self) -> Path:
        """The module that Envoy loads, compiled."""
        return self.root / "corral.so"

    @property
    def shapes(self) -> Path:
        """Where the module shows the shape of the last requests (`shape.c`)."""
        return self.root / "shapes"

    @property
    def admin_socket(self) -> Path:
        return self.root / "admin.sock"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def certificate(self) -> Path:
        return self.secrets / "certificate.json"

    def key(self, upstream: str, value: str) -> Path:
        """The file with the whole value of the header that a host takes its key in; another key has another file."""
        return self.secrets / f"{upstream.replace('/', '-')}.{sha256(value.encode()).hexdigest()[:16]}"


CLUSTERS_VERSION = "cluster_manager.cds.version_text"
LISTENERS_VERSION = "listener_manager.lds.version_text"
ROUTES_VERSION = f"http.{GATEWAY}.rds.{GATEWAY}.version_text"
"""The statistic that tells which version of a file is in force."""

CERTIFICATE_VERSION = f"sds.{CERTIFICATE}.version_text"


def statistic(name: str) -> str:
    """How a name stands in the names of statistics: Envoy writes none with a colon."""
    return name.replace(":", "_")


def active_requests(cluster: str) -> str:
    """The statistic that counts the requests a cluster has not finished."""
    return f"cluster.{statistic(cluster)}.upstream_rq_active"
