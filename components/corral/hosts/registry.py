"""Which component makes which kind of host.  The one place that knows all of them: a host more in a stack is none here.

A kind that is not in the table is a hosted API, and so is a host of any kind that is at a URL already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pulumi

from corral.catalog.catalog import Catalog
from corral.config.hosts import AzureHost, BedrockHost, VllmHost
from corral.config.secrets import HUGGING_FACE
from corral.config.stack import Stack
from corral.hosts.base import ClusterComponent, HostComponent, require
from corral.hosts.keys import provisioned
from corral.hosts.openai.component import OpenAIHost, OpenAIHostArgs
from corral.hosts.vllm.component import Vllm, VllmArgs
from corral.hosts.vllm.server import servers
from corral.plan.plan import Plan
from corral.plan.targets import PROVISIONED


@dataclass(frozen=True)
class Site:
    """All that hosts are made of."""

    stack: Stack
    plan: Plan
    catalog: Catalog
    cluster: ClusterComponent
    keys: Mapping[str, pulumi.Output[str]] = field(repr=False)
    """Per host its key; per `huggingface` the token for gated weights."""
    folder: Path
    """The folder of the stack file."""
    tags: Mapping[str, str]
    """On everything that can have tags."""
    gateway_namespace: str
    """The namespace of the pods that call the hosts."""


def make_hosts(site: Site) -> Mapping[str, HostComponent]:
    """Every host that a model names, by name.  Raises `pulumi.RunError` where the stack says too little of one.
    Likewise where the extra that one needs is not installed."""
    return {name: _make(name, site) for name in site.plan.hosts}


def _make(name: str, site: Site) -> HostComponent:
    targets = site.plan.at(name).values()
    there_already = any(target.kind in PROVISIONED and not provisioned(target) for target in targets)
    maker = _hosted if there_already else _MAKERS.get(site.stack.hosts[name].kind, _hosted)
    return maker(name, site)


def _hosted(name: str, site: Site) -> HostComponent:
    return OpenAIHost(name, OpenAIHostArgs(site.plan.at(name), site.keys.get(name), site.folder))


def _bedrock(name: str, site: Site) -> HostComponent:
    require("aws", f"the host {name}")
    from corral.hosts.bedrock.component import Bedrock, bedrock_args

    host = cast("BedrockHost", site.stack.hosts[name])
    return Bedrock(name, bedrock_args(name, host, site.plan, site.catalog, site.cluster.vpc, site.tags))


def _azure(name: str, site: Site) -> HostComponent:
    require("azure", f"the host {name}")
    from corral.hosts.azure.component import Azure, azure_args

    host = cast("AzureHost", site.stack.hosts[name])
    calling = site.cluster.public_addresses
    return Azure(name, azure_args(name, host, site.plan, site.catalog, calling, site.tags))


def _vllm(name: str, site: Site) -> HostComponent:
    host = cast("VllmHost", site.stack.hosts[name])
    args = VllmArgs(
        host=name,
        servers=servers(site.plan, site.stack, name),
        gpus=host.gpus,
        cluster=site.cluster,
        gateway_namespace=site.gateway_namespace,
        region=site.stack.region,
        token=site.keys.get(HUGGING_FACE),
        key=site.keys.get(name),
        tags=site.tags,
    )
    return Vllm(name, args)


_MAKERS: Mapping[str, Callable[[str, Site], HostComponent]] = {
    "azure": _azure,
    "bedrock": _bedrock,
    "vllm": _vllm,
}
