"""Redis, in which the limits of tenants are counted.

It keeps nothing: a count is a minute old at most, and who loses it has a minute of grace.  It asks for a password,
made once, and a network policy lets nobody come to it but who counts; the policy alone would do so only once the
cluster enforces it.  Envoy Gateway 1.8.3 has no setting for a password: those who count read it from `REDIS_AUTH`
(src/settings/settings.go of envoyproxy/ratelimit), a variable that Envoy Gateway adds to their container.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from corral.gateway.charts import REDIS_IMAGE
from corral.gateway.manifests.isolation import RATE_LIMITERS
from corral.gateway.names import ENVOY_NAMESPACE
from corral.hosts.base import SECRET_DATA, KubernetesObject
from corral.hosts.images import Images

_NAME = "corral-redis"
_PORT = 6379

ADDRESS = f"{_NAME}.{ENVOY_NAMESPACE}.svc.cluster.local:{_PORT}"

_PASSWORD, _CONFIGURATION = "password", "redis.conf"
"""The entries of the secret: the password, and Redis' file that asks for it."""

_PASSWORD_LENGTH = 48

_FOLDER = "/etc/redis"

_ARGUMENTS = [
    f"{_FOLDER}/{_CONFIGURATION}",
    *("--save", "", "--appendonly", "no"),
    *("--maxmemory", "192mb", "--maxmemory-policy", "volatile-ttl"),
]
"""Nothing is kept, and the oldest goes first."""

_LABELS = {"app.kubernetes.io/name": _NAME}

_USER = 65_532
"""A user who owns nothing: Redis writes no file here."""


def password(variable: str) -> dict[str, Any]:
    """The environment variable of a container in Redis' namespace, with the password."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": _NAME, "key": _PASSWORD}}}


@dataclass(frozen=True)
class RedisArgs:
    """Where it runs."""

    provider: kubernetes.Provider
    images: Images
    labels: Mapping[str, str]
    depends_on: Sequence[pulumi.Resource]
    """The namespace of the Envoys, and what that depends on."""


class Redis(pulumi.ComponentResource):
    """One server, the name by which it is reached, its password, and who may reach it.

    Leaves to others: its namespace, and who counts.
    """

    ready: pulumi.Resource
    """Stands when the server answers."""

    def __init__(self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Redis", name, None, opts)
        labels = {**args.labels, **_LABELS}

        def options(*depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(
                parent=self, provider=args.provider, depends_on=[*args.depends_on, *depends_on]
            )

        def child(part: str, api: str, kind: str, spec: Any, *depends_on: pulumi.Resource) -> KubernetesObject:
            metadata: dict[str, Any] = {"name": _NAME, "namespace": ENVOY_NAMESPACE, "labels": labels}
            if kind == "Service":  # it has endpoints only when the server is there, which is made after it
                metadata["annotations"] = {"pulumi.com/skipAwait": "true"}
            manifest = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
            return KubernetesObject(f"{name}-{part}", manifest, options(*depends_on))

        generated = random.RandomPassword(
            f"{name}-password", length=_PASSWORD_LENGTH, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": _NAME, "namespace": ENVOY_NAMESPACE, "labels": labels},
            string_data={_PASSWORD: generated, _CONFIGURATION: pulumi.Output.concat("requirepass ", generated, "\n")},
            opts=pulumi.ResourceOptions.merge(options(), SECRET_DATA),
        )
        selector = {"matchLabels": _LABELS}
        rate_limiters = [{"podSelector": {"matchLabels": RATE_LIMITERS}}]
        policy = {
            "podSelector": selector,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": rate_limiters, "ports": [{"protocol": "TCP", "port": _PORT}]}],
        }
        port = {"name": "redis", "port": _PORT}
        deployment = {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": selector,
            "template": {"metadata": {"labels": labels}, "spec": _pod(args.images)},
        }
        guard = child("guard", "networking.k8s.io/v1", "NetworkPolicy", policy)
        service = child("service", "v1", "Service", {"selector": _LABELS, "ports": [port]})
        self.ready = child("server", "apps/v1", "Deployment", deployment, guard, service, secret)
        self.register_outputs({})


def _pod(images: Images) -> dict[str, Any]:
    ping = {"exec": {"command": ["redis-cli", "ping"]}, "timeoutSeconds": 3}
    configuration = {
        "secretName": _NAME,
        "items": [{"key": _CONFIGURATION, "path": _CONFIGURATION}],
    }
    container = {
        "name": "redis",
        "image": images.named(REDIS_IMAGE),
        "command": ["redis-server"],
        "args": _ARGUMENTS,
        "env": [password("REDISCLI_AUTH")],
        "ports": [{"name": "redis", "containerPort": _PORT}],
        "volumeMounts": [{"name": "configuration", "mountPath": _FOLDER, "readOnly": True}],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {**ping, "periodSeconds": 5},
        "livenessProbe": {**ping, "periodSeconds": 10, "failureThreshold": 3},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    user = {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER}
    return {
        "automountServiceAccountToken": False,
        "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
        **({"imagePullSecrets": images.pull_secrets} if images.pull_secrets else {}),
        "volumes": [{"name": "configuration", "secret": configuration}],
        "containers": [container],
    }
