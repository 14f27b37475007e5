"""What the arguments of a host are made of, for a stack and a cluster of plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from corral.catalog.load import load_catalog
from corral.config.stack import Stack
from corral.hosts.base import ClusterComponent, Site, Vpc
from corral.hosts.images import Images
from corral.plan.build import build

CATALOG = load_catalog()
TAGS = {"corral:stack": "test"}


@dataclass(frozen=True)
class Cluster:
    """As much of a cluster as arguments look at."""

    vpc: Vpc | None = None
    public_addresses: Sequence[str] = ()


def stack(hosts: Mapping[str, Any], models: Mapping[str, Any]) -> Stack:
    return Stack.model_validate({"name": "test", "hosts": hosts, "models": models})


def site(stack: Stack, *, vpc: Vpc | None = None, public_addresses: Sequence[str] = ()) -> Site:
    return Site(
        stack=stack,
        plan=build(stack, CATALOG),
        cluster=cast("ClusterComponent", Cluster(vpc, public_addresses)),
        images=Images(None),
        keys={},
        folder=Path(),
        tags=TAGS,
        gateway_namespace="envoy-gateway-system",
        requests="requests{{model={!r}}}".format,
    )
