"""The tenants' API keys: those that the stack gives, and for all others one that is made once and kept across updates.
The gateway knows them, and they are given out as secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from corral.gateway.manifests.tenants import key_names
from corral.gateway.names import NAMESPACE, TENANT_SECRET

_LENGTH = 48
"""Letters and digits, some 285 bits."""


@dataclass(frozen=True)
class TenantsArgs:
    """Who may call."""

    tenants: Sequence[str]
    given: Mapping[str, Sequence[str]]
    """By tenant the keys that the stack gives, where it does; in plain, and secrets from here on."""
    provider: kubernetes.Provider
    namespace: pulumi.Resource
    labels: Mapping[str, str]


class Tenants(pulumi.ComponentResource):
    """The keys of each tenant, and the one secret in which the gateway looks them up: the key's name → key.

    Leaves to others: asking for them.  A key that was made is another one only when its resource is replaced.
    """

    keys: Mapping[str, pulumi.Output[str]]
    """By tenant the last of its keys, secrets."""
    secret: kubernetes.core.v1.Secret

    def __init__(self, name: str, args: TenantsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Tenants", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        keys = {
            tenant: [pulumi.Output.secret(key) for key in args.given.get(tenant, ())]
            or [
                pulumi.Output.secret(
                    random.RandomPassword(f"{name}-{tenant}", length=_LENGTH, special=False, opts=child).result
                )
            ]
            for tenant in sorted(args.tenants)
        }
        self.keys = {tenant: of_tenant[-1] for tenant, of_tenant in keys.items()}
        self.secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": TENANT_SECRET, "namespace": NAMESPACE, "labels": dict(args.labels)},
            string_data={
                name: key
                for tenant, of_tenant in keys.items()
                for name, key in zip(key_names(tenant, len(of_tenant)), of_tenant, strict=True)
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=args.provider,
                depends_on=[args.namespace],
                additional_secret_outputs=["stringData", "data"],
            ),
        )
        self.register_outputs({"keys": self.keys})
