"""A hosted API, or any host that is there already and speaks OpenAI's protocol at a URL.

All of it is data of the plan: a host more in the catalog or in a stack is no code here.  There is nothing to provision;
the component stands for the host in Pulumi's tree, and the load balancer gets its endpoints and its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pulumi

from corral.config.hosts import AzureHost, Entra
from corral.hosts.base import HostComponent, Site
from corral.hosts.endpoint import Endpoint, EntraCredential, KeyCredential
from corral.plan.plan import Target

if TYPE_CHECKING:
    from corral.hosts.endpoint import Key

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class OpenAIHostArgs:
    """An OpenAI-compatible host: how it is called for each model."""

    targets: Mapping[str, Target]
    """Per model the host as a target of the plan; each has a URL."""
    key: Key | None = field(repr=False)
    """The host's key, or its principal's secret; None where no target wants one."""
    folder: Path
    """The folder of the stack file: the file of a private CA is named relative to it."""
    entra: Entra | None = None
    """The principal whose tokens are sent in place of a key."""

    @classmethod
    def of(cls, name: str, site: Site) -> OpenAIHostArgs:
        """The arguments of the host `name`."""
        host = site.stack.hosts[name]
        entra = host.entra if isinstance(host, AzureHost) else None
        return cls(targets=site.plan.at(name), key=site.key(name), entra=entra, folder=site.folder)


class OpenAIHost(HostComponent):
    """Makes endpoints of a URL.  Leaves the key's Kubernetes secret and the routes to the load balancer."""

    def __init__(self, name: str, args: OpenAIHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:hosts:OpenAI", name, None, opts)
        self.endpoints = {model: _endpoint(model, target, args) for model, target in sorted(args.targets.items())}
        self.register_outputs({"endpoints": {model: target.url for model, target in sorted(args.targets.items())}})


def _endpoint(model: str, target: Target, args: OpenAIHostArgs) -> Endpoint:
    parts = urlsplit(target.url or "")
    if not parts.hostname:
        raise ValueError(f"{target.host} has no URL: it is no host that is there already")
    header = target.credential.header
    if header and args.key is None:
        raise ValueError(f"{target.host} wants a key in {header} and was given none")
    credential = None
    if header and args.key is not None:
        credential = (
            EntraCredential(args.entra.tenant, args.entra.client, args.key)
            if args.entra
            else KeyCredential(header, args.key)
        )
    return Endpoint(
        model=model,
        host=target.host,
        hostname=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        tls=parts.scheme == "https",
        protocol=target.protocol,
        path=parts.path,
        model_id=target.model_id,
        credential=credential,
        ca=(args.folder / target.ca).read_text(encoding="utf-8") if target.ca else None,
    )
