"""What things are called inside Envoy, and the files they are read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

Resource = dict[str, Any]
"""One Envoy resource in its JSON form."""

GATEWAY = "gateway"
"""The listener clients connect to, and its route table."""

RELAY = "relay"
"""The internal listener every attempt at a host goes through, and its route table."""

MODEL_HEADER = "x-corral-model"
"""Carries the request's model between the filters; a client cannot set it."""

HOST_HEADER = "x-corral-host"
"""Tells the relay which host an attempt is for, and the client which host answered."""

ROUTE_HOST = "corral:host"
"""The metadata, namespace and key, in which a route of the relay and a member of a model's cluster have their host."""

ATTEMPTS_HEADER = "x-corral-attempts"
"""Tells the client how many hosts were tried."""

TYPE = "type.googleapis.com/"


def model_name(model: str) -> str:
    """The cluster of a model."""
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
    def admin_socket(self) -> Path:
        return self.root / "admin.sock"

    def routes(self, table: str) -> Path:
        return self.root / f"{table}-routes.json"

    def secret(self, link: str) -> Path:
        return self.root / "secrets" / f"{link.replace('/', '-')}.json"


def watched(path: Path) -> Resource:
    """A source of configuration: a file that Envoy reads again when another is renamed onto it."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"}


def milliseconds(span: int) -> str:
    """A time span as Envoy writes it."""
    return f"{span / 1000:.3f}s"


CLUSTERS_VERSION = "cluster_manager.cds.version_text"
LISTENERS_VERSION = "listener_manager.lds.version_text"
"""The statistic that tells which version of a file is in force; likewise the functions below."""


def routes_version(table: str) -> str:
    return f"http.{table}.rds.{table}.version_text"


def secret_version(link: str) -> str:
    return f"sds.{link}.version_text"


def statistic(name: str) -> str:
    """How a name stands in the names of statistics: Envoy writes none with a colon."""
    return name.replace(":", "_")


def active_requests(cluster: str) -> str:
    """The statistic that counts the requests a cluster has not finished."""
    return f"cluster.{statistic(cluster)}.upstream_rq_active"
