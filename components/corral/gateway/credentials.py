"""Every secret of the load balancer: the hosts' keys, which it sends to them, and the tenants' keys, by which it knows
who calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from corral.gateway.manifests.hosts import host_authority, host_secret
from corral.gateway.manifests.tenants import key_names
from corral.gateway.names import TENANT_SECRET, object_name
from corral.hosts.base import SECRET_DATA
from corral.hosts.endpoint import Endpoint
from corral.hosts.failures import HostFailures

_KEY_LENGTH = 48
"""Letters and digits, some 285 bits."""


def host_credentials(
    name: str,
    endpoints: Sequence[Endpoint],
    namespace: str,
    labels: Mapping[str, str],
    failures: HostFailures,
    opts: pulumi.ResourceOptions,
) -> dict[str, pulumi.CustomResource]:
    """The secret of each host that has one, but for those that a store gives, and the certificates of each that has an
    authority, by resource key."""
    resources: dict[str, pulumi.CustomResource] = {}
    for host, endpoint in sorted({endpoint.host: endpoint for endpoint in endpoints}.items()):
        metadata: Any = {
            "name": object_name(host),
            "namespace": namespace,
            "labels": dict(labels),
            "annotations": {"corral/host": host},
        }
        of_host = pulumi.ResourceOptions.merge(opts, failures.options(host))
        if entries := endpoint.own_secret:
            resources[host_secret(host)] = kubernetes.core.v1.Secret(
                f"{name}-{host_secret(host)}",
                metadata=metadata,
                string_data={entry: pulumi.Output.secret(key) for entry, key in entries.items()},
                opts=pulumi.ResourceOptions.merge(of_host, SECRET_DATA),
            )
        if endpoint.ca is not None:
            resources[host_authority(host)] = kubernetes.core.v1.ConfigMap(
                f"{name}-{host_authority(host)}", metadata=metadata, data={"ca.crt": endpoint.ca}, opts=of_host
            )
    return resources


@dataclass(frozen=True)
class TenantsArgs:
    """The tenants, and where their keys go."""

    tenants: Sequence[str]
    keys: Mapping[str, Sequence[str]]
    """The keys that the stack gives, by tenant; in plain, and secrets from here on."""
    provider: kubernetes.Provider
    namespace: str
    labels: Mapping[str, str]
    depends_on: Sequence[pulumi.Resource]
    """The namespace."""


class Tenants(pulumi.ComponentResource):
    """The keys of each tenant, and the one secret in which the gateway looks them up: the key's name → key.

    They are those that the stack gives, and for every other tenant one that is made once and kept across updates; it is
    another one only when its resource is replaced.  Leaves to others: asking for them.
    """

    keys: Mapping[str, pulumi.Output[str]]
    """The last key of each tenant, a secret."""
    secret: kubernetes.core.v1.Secret

    def __init__(self, name: str, args: TenantsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Tenants", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def generated(tenant: str) -> pulumi.Output[str]:
            return random.RandomPassword(f"{name}-{tenant}", length=_KEY_LENGTH, special=False, opts=child).result

        keys = {
            tenant: [pulumi.Output.secret(key) for key in args.keys.get(tenant, ()) or [generated(tenant)]]
            for tenant in sorted(args.tenants)
        }
        self.keys = {tenant: of_tenant[-1] for tenant, of_tenant in keys.items()}
        self.secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": TENANT_SECRET, "namespace": args.namespace, "labels": dict(args.labels)},
            string_data={
                name: key
                for tenant, of_tenant in keys.items()
                for name, key in zip(key_names(tenant, len(of_tenant)), of_tenant, strict=True)
            },
            opts=pulumi.ResourceOptions.merge(
                pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=args.depends_on), SECRET_DATA
            ),
        )
        self.register_outputs({"keys": self.keys})
