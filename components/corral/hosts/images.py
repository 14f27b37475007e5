"""Where the pods of a stack get their images, and with which secret.

The secret with the registry's password is made in each namespace of the stack before the first pod there.  It has the
password of that registry alone, and nothing else that somebody is logged in to.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes

from corral.config.registry import Registry
from corral.hosts.base import SECRET_DATA


@dataclass(frozen=True)
class Images:
    """What the stack says of them."""

    registry: Registry | None
    login: pulumi.Output[str] | None = field(default=None, repr=False)
    """`user:password` of the registry, a secret; None: the pull secret is somebody else's to make."""

    def named(self, image: str) -> str:
        """The image's name where it is pulled."""
        return self.registry.mirrored(image) if self.registry else image

    @property
    def pull_secrets(self) -> list[dict[str, str]]:
        """As pods and service accounts name them (`imagePullSecrets`)."""
        secret = self.registry and self.registry.pull_secret
        return [{"name": secret}] if secret else []

    def secret(
        self, name: str, namespace: str, labels: Mapping[str, str], opts: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        """The secret in a namespace, on which its pods depend; none where it is not the stack's to make."""
        if self.registry is None or self.registry.pull_secret is None or self.login is None:
            return []
        host = self.registry.host

        def configuration(login: str) -> str:
            return json.dumps({"auths": {host: {"auth": base64.b64encode(login.encode()).decode()}}})

        secret = kubernetes.core.v1.Secret(
            name,
            metadata={"name": self.registry.pull_secret, "namespace": namespace, "labels": dict(labels)},
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": pulumi.Output.secret(self.login).apply(configuration)},
            opts=pulumi.ResourceOptions.merge(opts, SECRET_DATA),
        )
        return [secret]
