"""A model's servers as Kubernetes objects: plain dicts, a pure function of what the plan decides.

Policy.

- A server has an hour to start: weights of hundreds of gigabytes are loaded before it is ready.  Once it is, it is
  taken out of the Service after 15 seconds of silence and restarted after two minutes of it.
- A server that is to go first leaves the Service and is asked for nothing new (`preStop`, longer than the gateway keeps
  an address), then ends what it has begun (`--shutdown-timeout`), and only then may be killed.
- A new version comes up beside the old one where there may be more servers than there must be; where GPUs are scarce it
  takes the place of the old one, and the model's other hosts serve meanwhile.
- The Service is headless, so that the gateway sees every server, balances among them and leaves out one that fails.
- Only the gateway and Prometheus may connect.
- A node with a server on it is not taken away to save money, to renew its image or the like
  (`karpenter.sh/do-not-disrupt`); one server at a time may be evicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corral.config.cluster import Prometheus
from corral.hosts.vllm.scaling import scaled_object
from corral.hosts.vllm.server import CACHE, PORT, Server, arguments, environment

Manifest = dict[str, Any]

_PRESTOP_SECONDS = 35
"""Between leaving the Service and the end; the gateway asks for addresses every 30."""
_STOP_SECONDS = 30
"""For a server to stop in after the last request."""
STARTUP_SECONDS = 3_600
"""For a server to load its weights."""
NODE_READY_SECONDS = 1_800
"""For a node to come and to fetch the image."""
GPU = "nvidia.com/gpu"
"""The resource, and the taint of the nodes that have it."""
ACCOUNT = "vllm"
"""The service account of all servers of a host."""


@dataclass(frozen=True)
class Surroundings:
    """What of the cluster a server has to know."""

    gateway_namespace: str
    prometheus: Prometheus | None
    region: str | None
    """AWS's, for weights in S3."""
    token: bool
    """Whether there is a Hugging Face token."""
    key: bool
    """Whether vLLM asks for a key."""
    labels: Mapping[str, str]
    """On every object."""


def namespace(name: str, around: Surroundings) -> Manifest:
    enforced = {"pod-security.kubernetes.io/enforce": "baseline"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**around.labels, **enforced}},
    }


def service_account(namespace: str, around: Surroundings) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": dict(around.labels)},
        "automountServiceAccountToken": False,
    }


def manifests(server: Server, around: Surroundings) -> dict[str, Manifest]:
    """The objects of one model, by the logical name that each has below the model's."""
    made = {
        "deployment": _deployment(server, around),
        "service": _service(server, around),
        "disruption-budget": _disruption_budget(server, around),
        "network-policy": _network_policy(server, around),
    }
    if around.prometheus and around.prometheus.scrape == "serviceMonitor":
        made["service-monitor"] = _service_monitor(server, around)
    if around.prometheus and server.fit and server.scales:
        made["scaled-object"] = scaled_object(server, server.fit, _metadata(server, around), around.prometheus)
    return made


def _metadata(server: Server, around: Surroundings) -> dict[str, Any]:
    return {"name": server.name, "namespace": server.namespace, "labels": {**around.labels, **_selector(server)}}


def _selector(server: Server) -> dict[str, str]:
    return {"app.kubernetes.io/name": "vllm", "app.kubernetes.io/instance": server.name}


def _deployment(server: Server, around: Surroundings) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(server, around),
        "spec": {
            "replicas": _replicas(server, around),
            "selector": {"matchLabels": _selector(server)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _rollout(server)},
            "progressDeadlineSeconds": STARTUP_SECONDS + NODE_READY_SECONDS,
            "revisionHistoryLimit": 3,
            "template": {
                "metadata": {
                    "labels": {**around.labels, **_selector(server)},
                    "annotations": {
                        "corral/model": server.model,
                        "karpenter.sh/do-not-disrupt": "true",
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(PORT),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": _pod(server, around),
            },
        },
    }


def _replicas(server: Server, around: Surroundings) -> int:
    """At first; none only where something would wake the model."""
    least = server.fit.least if server.fit else 1
    return least if around.prometheus else max(1, least)


def _rollout(server: Server) -> dict[str, int]:
    spare = server.fit is None or server.scales
    return {"maxSurge": 1, "maxUnavailable": 0} if spare else {"maxSurge": 0, "maxUnavailable": 1}


def _pod(server: Server, around: Surroundings) -> dict[str, Any]:
    shared = server.fit is not None and server.fit.gpus > 1
    volumes: list[dict[str, Any]] = [{"name": "cache", "emptyDir": {}}]
    if shared:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}})
    return {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _PRESTOP_SECONDS + server.drain_seconds + _STOP_SECONDS,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        **(_placement(server.fit.instance) if server.fit else {}),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _selector(server)},
                "matchLabelKeys": ["pod-template-hash"],
            }
        ],
        "containers": [_container(server, around, shared=shared)],
        "volumes": volumes,
    }


def _placement(instance: str) -> dict[str, Any]:
    return {
        "nodeSelector": {"node.kubernetes.io/instance-type": instance},
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
    }


def _container(server: Server, around: Surroundings, *, shared: bool) -> dict[str, Any]:
    health = {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 5}
    mounts = [{"name": "cache", "mountPath": CACHE}]
    if shared:
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    return {
        "name": "vllm",
        "image": server.image,
        "args": arguments(server),
        "env": environment(server, around.region, token=around.token, key=around.key),
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": _resources(server.fit.gpus if server.fit else 0),
        "startupProbe": {**health, "periodSeconds": 10, "failureThreshold": STARTUP_SECONDS // 10},
        "readinessProbe": {**health, "periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**health, "periodSeconds": 10, "failureThreshold": 12},
        "lifecycle": {"preStop": {"sleep": {"seconds": _PRESTOP_SECONDS}}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
    }


def _resources(gpus: int) -> dict[str, dict[str, str]]:
    """A core and 8 GiB per GPU, which the smallest instance type with one has; the nodes hold nothing else."""
    if not gpus:
        return {"requests": {"cpu": "100m", "memory": "256Mi"}}
    return {
        "requests": {"cpu": str(gpus), "memory": f"{8 * gpus}Gi", GPU: str(gpus)},
        "limits": {GPU: str(gpus)},
    }


def _service(server: Server, around: Surroundings) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(server, around),
        "spec": {
            "clusterIP": "None",
            "selector": _selector(server),
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }


def _disruption_budget(server: Server, around: Surroundings) -> Manifest:
    """One at a time: a budget that kept the only server would keep its node for ever."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(server, around),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _selector(server)}},
    }


def _network_policy(server: Server, around: Surroundings) -> Manifest:
    allowed = [around.gateway_namespace, *([around.prometheus.namespace] if around.prometheus else [])]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(server, around),
        "spec": {
            "podSelector": {"matchLabels": _selector(server)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
                        for name in allowed
                    ],
                    "ports": [{"protocol": "TCP", "port": PORT}],
                }
            ],
        },
    }


def _service_monitor(server: Server, around: Surroundings) -> Manifest:
    """For the Prometheus operator, which does not look at annotations."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": _metadata(server, around),
        "spec": {
            "selector": {"matchLabels": _selector(server)},
            "endpoints": [{"port": "http", "path": "/metrics", "interval": "15s"}],
        },
    }
