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
- A server runs on the nodes of its own host alone, where the stack makes them, so that each host's limit and way of
  buying holds.  Elsewhere a node with a server on it is not taken away to save money or the like
  (`karpenter.sh/do-not-disrupt`); the stack's own nodes have a policy of theirs.  One server at a time may be evicted.

Scaling.  KEDA on what vLLM and the gateway tell Prometheus, rather than an adapter of metrics for a plain
HorizontalPodAutoscaler: it asks Prometheus itself, and it alone can go down to none.  Two questions, and the larger
answer counts: how many requests wait (one server more for each 25; docs.aws.amazon.com/eks,
ml-inference-autoscaling-hpa-keda), and how many are being worked on (so many servers that each has three quarters of
what it can take).  The second keeps servers that are busy with an empty queue.  Servers go one at a time, after five
minutes in which fewer would have done.  At none, vLLM tells nothing: what wakes a model is then the gateway's count of
its requests, which other hosts answer until the first server is ready.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corral.config.cluster import Prometheus
from corral.hosts.autoscaling import scaled, trigger
from corral.hosts.naming import NODE_POOL_LABEL, node_pool_names, pod_security
from corral.hosts.vllm.server import CACHE, PORT, Server, arguments, environment
from corral.plan.gpu_fit import SEQUENCES
from corral.plan.gpus import Fit

Manifest = dict[str, Any]

_PRESTOP_SECONDS = 35
"""Between leaving the Service and the end; the gateway asks for addresses every 30."""
_STOP_SECONDS = 30
"""For a server to stop in after the last request."""
STARTUP_SECONDS = 3_600
"""For a server to load its weights."""
NODE_READY_SECONDS = 1_800
"""For a node to come and to fetch the image."""
_WAITING_PER_SERVER = 25
_RUNNING_PER_SERVER = SEQUENCES * 3 // 4
_GPU = "nvidia.com/gpu"
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
    token: str | None
    """The Secret with the Hugging Face token; None: there is none."""
    key: str | None
    """The Secret with the key that vLLM asks for; None: it asks for none."""
    requests: Callable[[str], str]
    """By a model's name the counter of its requests at the gateway, as PromQL selects it."""
    instances: Sequence[str]
    """The instance types of the nodes."""
    own_nodes: bool
    """Whether the stack makes them, for this host alone; else they are there already."""
    labels: Mapping[str, str]
    """On every object."""


def namespace(name: str, around: Surroundings) -> Manifest:
    labels = {**around.labels, **pod_security("baseline")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service_account(namespace: str, around: Surroundings, pull_secrets: Sequence[Mapping[str, str]] = ()) -> Manifest:
    """The servers' account, which brings the secrets by which their images are pulled."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": dict(around.labels)},
        "automountServiceAccountToken": False,
        **({"imagePullSecrets": [*pull_secrets]} if pull_secrets else {}),
    }


def manifests(server: Server, around: Surroundings) -> dict[str, Manifest]:
    """The objects of one model, by the logical name that each has below the model's."""
    labels = {**around.labels, **_selector(server)}
    metadata = {"name": server.name, "namespace": server.namespace, "labels": labels}

    def manifest(api: str, kind: str, spec: Mapping[str, Any]) -> Manifest:
        return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}

    port = {"name": "http", "port": PORT, "targetPort": "http"}
    service = {"clusterIP": "None", "selector": _selector(server), "ports": [port]}
    # One at a time: a budget that kept the only server would keep its node for ever.
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(server)}}
    objects = {
        "deployment": manifest("apps/v1", "Deployment", _deployment(server, around, labels)),
        "service": manifest("v1", "Service", service),
        "disruption-budget": manifest("policy/v1", "PodDisruptionBudget", budget),
        "network-policy": manifest("networking.k8s.io/v1", "NetworkPolicy", _network_policy(server, around)),
    }
    if around.prometheus and around.prometheus.scrape == "serviceMonitor":
        # For the Prometheus operator, which does not look at annotations.
        scraped = {"port": "http", "path": "/metrics", "interval": "15s"}
        spec = {"selector": {"matchLabels": _selector(server)}, "endpoints": [scraped]}
        monitor = manifest("monitoring.coreos.com/v1", "ServiceMonitor", spec)
        monitor["metadata"] = {**metadata, "labels": {**labels, **around.prometheus.monitor_labels}}
        objects["service-monitor"] = monitor
    if around.prometheus and server.fit and server.scales:
        spec = _scaled_object(server, server.fit, around.prometheus, around.requests(server.model))
        objects["scaled-object"] = manifest("keda.sh/v1alpha1", "ScaledObject", spec)
    return objects


def _selector(server: Server) -> dict[str, str]:
    return {"app.kubernetes.io/name": "vllm", "app.kubernetes.io/instance": server.name}


def _deployment(server: Server, around: Surroundings, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "replicas": _replicas(server, around),
        "selector": {"matchLabels": _selector(server)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": _rollout(server)},
        "progressDeadlineSeconds": STARTUP_SECONDS + NODE_READY_SECONDS,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": {
                    "corral/model": server.model,
                    **({} if around.own_nodes else {"karpenter.sh/do-not-disrupt": "true"}),
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": str(PORT),
                    "prometheus.io/path": "/metrics",
                },
            },
            "spec": _pod(server, around),
        },
    }


def _replicas(server: Server, around: Surroundings) -> int:
    """At first; none only where something would wake the model."""
    least = server.fit.least if server.fit else 1
    return least if around.prometheus else max(1, least)


def _rollout(server: Server) -> dict[str, int]:
    spare = server.fit is None or server.scales
    return {"maxSurge": 1, "maxUnavailable": 0} if spare else {"maxSurge": 0, "maxUnavailable": 1}


def grace_seconds(server: Server) -> int:
    """How long a server that is to go may take."""
    return _PRESTOP_SECONDS + server.drain_seconds + _STOP_SECONDS


def _pod(server: Server, around: Surroundings) -> dict[str, Any]:
    shared = server.fit is not None and server.fit.gpus > 1
    volumes: list[dict[str, Any]] = [{"name": "cache", "emptyDir": {}}]
    if shared:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}})
    placement = (
        {
            **_on_nodes(server.host, around),
            "tolerations": [{"key": _GPU, "operator": "Exists", "effect": "NoSchedule"}],
        }
        if server.fit
        else {}
    )
    return {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(server),
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        **placement,
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


def _on_nodes(host: str, around: Surroundings) -> dict[str, Any]:
    """By a selector where there is one instance type, as it always was: a pod that changes starts anew."""
    allowed = {"node.kubernetes.io/instance-type": [*around.instances]}
    if around.own_nodes:
        allowed[NODE_POOL_LABEL] = node_pool_names(host, around.instances)
    if len(around.instances) == 1:
        return {"nodeSelector": {label: value for label, (value,) in allowed.items()}}
    terms = [{"key": label, "operator": "In", "values": values} for label, values in allowed.items()]
    required = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


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
    limits = {_GPU: str(gpus)}
    return {"requests": {"cpu": str(gpus), "memory": f"{8 * gpus}Gi", **limits}, "limits": limits}


def _network_policy(server: Server, around: Surroundings) -> dict[str, Any]:
    allowed = [around.gateway_namespace, *([around.prometheus.namespace] if around.prometheus else [])]
    callers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}} for name in allowed]
    return {
        "podSelector": {"matchLabels": _selector(server)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": callers, "ports": [{"protocol": "TCP", "port": PORT}]}],
    }


def _scaled_object(server: Server, fit: Fit, prometheus: Prometheus, requests: str) -> dict[str, Any]:
    """KEDA scales the Deployment of the server's name."""
    series = f"{{namespace={_quoted(server.namespace)},model_name={_quoted(server.served_as)}}}"
    waiting = f"sum(vllm:num_requests_waiting{series})"
    running = f"sum(vllm:num_requests_running{series})"
    triggers = [
        trigger(prometheus, waiting, _WAITING_PER_SERVER),
        trigger(prometheus, running, _RUNNING_PER_SERVER),
    ]
    if fit.least == 0:
        # Any demand wakes one server; no demand asks for a second one: vLLM's own metrics do.
        triggers.append(trigger(prometheus, demand(requests), 1))
    return scaled(server.name, fit.least, fit.most, triggers)


def demand(requests: str) -> str:
    """1 where the counter has grown within five minutes, 0 where it has not, nothing where nobody reads it.

    A series that is born with its first request, as after a cut-over, has not grown by itself and counts too.
    """
    born = f"({requests} > 0 unless {requests} offset 5m)"
    return f"count((increase({requests}[5m]) > 0) or {born}) > bool 0 or 0 * count({requests})"


def _quoted(label: str) -> str:
    return json.dumps(label, ensure_ascii=False)
