"""Where the limits of tenants are counted, for all Envoys together: a Redis of the load balancer's own.

It keeps nothing: a count is a minute old at most, and who loses it has a minute of grace.  While it cannot be reached,
requests pass uncounted.  It asks for no password, as Envoy Gateway 1.8.3 passes none on; a network policy lets nobody
come to it but who counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from corral.gateway.names import ENVOY_NAMESPACE

IMAGE = "docker.io/library/redis:8.2.4-alpine3.22"
"""The one that Envoy AI Gateway 1.1.0 takes for its own example of limits (examples/token_ratelimit/redis.yaml)."""

_NAME = "corral-redis"
_PORT = 6379

ADDRESS = f"{_NAME}.{ENVOY_NAMESPACE}.svc.cluster.local:{_PORT}"

_NOTHING_KEPT = ("--save", "", "--appendonly", "no")
_FORGETFUL = ("--maxmemory", "192mb", "--maxmemory-policy", "volatile-ttl")
_OPEN = ("--protected-mode", "no")

_COUNTING = {"app.kubernetes.io/name": "envoy-ratelimit", "app.kubernetes.io/component": "ratelimit"}
"""The labels of the pods that count (Envoy Gateway's internal/infrastructure/kubernetes/ratelimit/resource.go)."""

_ANYBODY = 65_532
"""A user who has nothing: Redis writes no file here."""


@dataclass(frozen=True)
class RedisArgs:
    """Where it runs."""

    provider: kubernetes.Provider
    labels: Mapping[str, str]
    first: Sequence[pulumi.Resource]
    """What is there before it, its namespace included."""


class Redis(pulumi.ComponentResource):
    """One server, the name by which it is reached, and who may reach it.

    Leaves to others: its namespace, and who counts.
    """

    ready: pulumi.Resource
    """Stands when the server answers."""

    def __init__(self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:gateway:Redis", name, None, opts)
        selector = {"app.kubernetes.io/name": _NAME}
        metadata: Any = {"name": _NAME, "namespace": ENVOY_NAMESPACE, "labels": {**args.labels, **selector}}

        # It has endpoints only when the server is there, which is made after it.
        unwaited: Any = {**metadata, "annotations": {"pulumi.com/skipAwait": "true"}}

        def child(*first: pulumi.Resource) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=[*args.first, *first])

        guard = kubernetes.networking.v1.NetworkPolicy(
            f"{name}-guard", metadata=metadata, spec=_guard(selector), opts=child()
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=unwaited,
            spec={"selector": selector, "ports": [{"name": "redis", "port": _PORT}]},
            opts=child(),
        )
        self.ready = kubernetes.apps.v1.Deployment(
            f"{name}-server",
            metadata=metadata,
            spec=_deployment(selector, metadata["labels"]),
            opts=child(guard, service),
        )
        self.register_outputs({})


def _guard(selector: dict[str, str]) -> Any:
    counting = [{"podSelector": {"matchLabels": _COUNTING}}]
    return {
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": counting, "ports": [{"protocol": "TCP", "port": _PORT}]}],
    }


def _deployment(selector: dict[str, str], labels: dict[str, str]) -> Any:
    nobody = {"runAsNonRoot": True, "runAsUser": _ANYBODY, "runAsGroup": _ANYBODY}
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {**nobody, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container()],
    }
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": selector},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }


def _container() -> Any:
    answers = {"exec": {"command": ["redis-cli", "ping"]}, "timeoutSeconds": 3}
    return {
        "name": "redis",
        "image": IMAGE,
        "command": ["redis-server"],
        "args": [*_NOTHING_KEPT, *_FORGETFUL, *_OPEN],
        "ports": [{"name": "redis", "containerPort": _PORT}],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {**answers, "periodSeconds": 5},
        "livenessProbe": {**answers, "periodSeconds": 10, "failureThreshold": 3},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
