"""The adapter of one host as Kubernetes objects: plain dicts.

Policy.

- Each host has an adapter of its own, in a namespace of its own: one that is slow or cannot be had holds up no other,
  and an identity at a cloud is one host's.
- Two pods at least, in several zones and on several nodes where there are, of which one may be evicted at a time.
  Their number follows their CPU up to that of the Envoys; where no metrics-server tells of it, it stays at the least.
- A pod that is to go first leaves the Service (`preStop`, longer than the gateway keeps an address), then finishes what
  it has begun.
- The Service is headless, so that the gateway sees every pod, balances among them and leaves out one that fails.
- Only the gateway may connect, and shows a token.
- What the adapter is told, keys included, is one entry of a Secret, mounted and read again when it changes.  Whatever
  of it is no secret is in the pod's annotation as a hash, so that a change of it is rolled out before a route names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corral.config.cluster import Replicas
from corral.hosts.adapted.description import HEALTH_PATH
from corral.hosts.naming import physical, pod_security

Manifest = dict[str, Any]

PORT = 8080
ACCOUNT = "adapter"
"""The name of the service account, and of all other objects of a host's adapter."""

FOLDER = "/etc/corral"
"""Where the pod has the entries of the Secret."""

CREDENTIALS_FILE = "credentials"
"""The entry with AWS's credentials, where the cluster gives its pods no identity."""

CONCURRENT = 256
"""Requests that a pod has under way at most; what comes beyond goes on to another host."""

_USER = 65_532
"""Who owns nothing: no file is written."""
_READABLE = 0o440

_PRESTOP_SECONDS = 35
"""Between leaving the Service and the end; the gateway asks for addresses every 30."""
_STOP_SECONDS = 30
"""For a pod to stop in after the last request."""
_CPU_PERCENT = 60
_CREDENTIALS = {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": f"{FOLDER}/{CREDENTIALS_FILE}"}


@dataclass(frozen=True)
class Pods:
    """The adapter of one host, as the cluster runs it."""

    host: str
    image: str
    replicas: Replicas
    """Of the Envoys, whose number is the adapter's limit too."""
    drain_seconds: int
    """How long a pod that is to go has for what it has begun."""
    gateway_namespace: str
    digest: Any
    """Of what it is told, secrets apart: a text, which may be known only later."""
    labels: Mapping[str, str]
    """On every object."""
    credentials: bool
    """Whether there is a file of AWS's credentials."""
    pull_secrets: Sequence[Mapping[str, str]] = ()

    @property
    def namespace(self) -> str:
        """One per host."""
        return physical("corral", self.host)

    @property
    def hostname(self) -> str:
        return f"{ACCOUNT}.{self.namespace}.svc.cluster.local"

    @property
    def grace_seconds(self) -> int:
        """How long a pod that is to go may take."""
        return _PRESTOP_SECONDS + self.drain_seconds + _STOP_SECONDS


_SELECTOR = {"app.kubernetes.io/name": "corral-adapter"}


def namespace(pods: Pods) -> Manifest:
    labels = {**pods.labels, **pod_security("restricted")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": pods.namespace, "labels": labels}}


def metadata(pods: Pods) -> Any:
    """Of every object within the namespace."""
    return {"name": ACCOUNT, "namespace": pods.namespace, "labels": {**pods.labels, **_SELECTOR}}


def manifests(pods: Pods) -> dict[str, Manifest]:
    """The objects beside namespace and Secret, by the logical name that each has below the host's."""

    def manifest(api: str, kind: str, **fields: Any) -> Manifest:
        return {"apiVersion": api, "kind": kind, "metadata": metadata(pods), **fields}

    selector = {"matchLabels": _SELECTOR}
    port = {"name": "http", "port": PORT, "targetPort": "http"}
    callers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": pods.gateway_namespace}}}]
    guard = {
        "podSelector": selector,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": callers, "ports": [{"protocol": "TCP", "port": PORT}]}],
    }
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": _CPU_PERCENT}}
    scaler = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": ACCOUNT},
        "minReplicas": least(pods),
        "maxReplicas": max(least(pods), pods.replicas.max),
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    service = {"clusterIP": "None", "selector": _SELECTOR, "ports": [port]}
    return {
        "account": manifest("v1", "ServiceAccount", automountServiceAccountToken=False),
        "service": manifest("v1", "Service", spec=service),
        "disruption-budget": manifest(
            "policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": 1, "selector": selector}
        ),
        "network-policy": manifest("networking.k8s.io/v1", "NetworkPolicy", spec=guard),
        "deployment": manifest("apps/v1", "Deployment", spec=_deployment(pods, selector)),
        "scaler": manifest("autoscaling/v2", "HorizontalPodAutoscaler", spec=scaler),
    }


def least(pods: Pods) -> int:
    """Pods of it at least."""
    return max(2, pods.replicas.min)


def _deployment(pods: Pods, selector: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "replicas": least(pods),
        "selector": selector,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {
                "labels": {**pods.labels, **_SELECTOR},
                "annotations": {"corral/host": pods.host, "corral/hash": pods.digest},
            },
            "spec": _pod(pods, selector),
        },
    }


def _pod(pods: Pods, selector: Mapping[str, Any]) -> dict[str, Any]:
    def spread(topology: str) -> dict[str, Any]:
        return {
            "maxSkew": 1,
            "topologyKey": topology,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selector,
            "matchLabelKeys": ["pod-template-hash"],
        }

    user = {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    return {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pods.grace_seconds,
        "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
        **({"imagePullSecrets": [*pods.pull_secrets]} if pods.pull_secrets else {}),
        "topologySpreadConstraints": [spread("topology.kubernetes.io/zone"), spread("kubernetes.io/hostname")],
        "volumes": [{"name": ACCOUNT, "secret": {"secretName": ACCOUNT, "defaultMode": _READABLE}}],
        "containers": [_container(pods)],
    }


def _container(pods: Pods) -> dict[str, Any]:
    health = {"httpGet": {"path": HEALTH_PATH, "port": "http"}, "timeoutSeconds": 5}
    return {
        "name": ACCOUNT,
        "image": pods.image,
        "args": ["--folder", FOLDER, "--port", str(PORT)],
        **({"env": [_CREDENTIALS]} if pods.credentials else {}),
        "ports": [{"name": "http", "containerPort": PORT}],
        "volumeMounts": [{"name": ACCOUNT, "mountPath": FOLDER, "readOnly": True}],
        "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "startupProbe": {**health, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**health, "periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**health, "periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": _PRESTOP_SECONDS}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
