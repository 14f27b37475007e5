"""The tenants' API keys: made once, kept across updates, known to the gateway and given out as secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from components.render.gateway_api.names import NAMESPACE, TENANT_SECRET

_LENGTH = 48
"""Letters and digits, some 285 bits."""


@dataclass(frozen=True)
class TenantsArgs:
    """Who may call."""

    tenants: Sequence[str]
    provider: kubernetes.Provider
    namespace: pulumi.Resource
    labels: Mapping[str, str]


class Tenants(pulumi.ComponentResource):
    """A key for each tenant, and the one secret in which the gateway looks them up: tenant → key.

    Leaves to others: asking for them.  A key is another one only when its resource is replaced.
    """

    keys: Mapping[str, pulumi.Output[str]]
    """By tenant, secrets."""
    secret: kubernetes.core.v1.Secret

    def __init__(self, name: str, args: TenantsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Tenants", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.keys = {
            tenant: pulumi.Output.secret(
                random.RandomPassword(f"{name}-{tenant}", length=_LENGTH, special=False, opts=child).result
            )
            for tenant in sorted(args.tenants)
        }
        self.secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": TENANT_SECRET, "namespace": NAMESPACE, "labels": dict(args.labels)},
            string_data=self.keys,
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=args.provider,
                depends_on=[args.namespace],
                additional_secret_outputs=["stringData", "data"],
            ),
        )
        self.register_outputs({"keys": self.keys})
