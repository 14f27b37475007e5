"""The simulated hosts of a drill on a cluster: one pod for all of them and for the load, so that there is one clock.

Each has a Service, by whose name the gateway reaches it as it reaches a real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corral.gateway.manifests.certificates import AUTHORITY_ENTRY
from corral.gateway.manifests.resource import Manifest
from corral.gateway.names import CERTIFICATE_SECRET, GatewayNames, object_name

DRILL = GatewayNames("corral-drill")
"""The names of the gateway that a drill makes."""

DRILL_LABEL = "corral-drill"
"""The label of all that a drill makes, with the name of its stack."""

POD = "hosts"
"""The pod, its container, and the secret that both read."""

HOSTS_ENTRY, TOKEN_ENTRY = "hosts.json", "token"
"""The entries of the secret: the description of the hosts, and the token of their control endpoints."""

HOSTS_PORT = 80
"""That of every Service."""

_FOLDER, _TRUST_FOLDER = "/etc/corral", "/etc/corral-trust"
_USER = 65_532
"""Who owns nothing: no file is written."""


def service_name(host: str) -> str:
    """The DNS name at which the gateway reaches a host."""
    return f"{object_name(host)}.{DRILL.namespace}.svc.cluster.local"


def drill_manifests(image: str, ports: Mapping[str, int], labels: Mapping[str, str]) -> dict[str, Manifest]:
    """The objects by key; `ports`: of the pod, by host."""

    def manifest(kind: str, name: str, spec: dict[str, Any], annotations: dict[str, str]) -> Manifest:
        where = {"name": name, "namespace": DRILL.namespace}
        metadata = {**where, "labels": dict(labels), "annotations": annotations}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}

    resources = {"pod": manifest("Pod", POD, _pod(image, ports), {"pulumi.com/timeoutSeconds": "300"})}
    for host, port in sorted(ports.items()):
        spec = {
            "selector": {DRILL_LABEL: labels[DRILL_LABEL]},
            "ports": [{"name": "http", "port": HOSTS_PORT, "targetPort": port}],
        }
        resources[f"host/{host}"] = manifest("Service", object_name(host), spec, {"pulumi.com/skipAwait": "true"})
    return resources


def _pod(image: str, ports: Mapping[str, int]) -> dict[str, Any]:
    token = {"secretKeyRef": {"name": POD, "key": TOKEN_ENTRY}}
    container = {
        "name": POD,
        "image": image,
        "command": ["python", "-m", "corral.local.drill.pod"],
        "env": [
            {"name": "CORRAL_SIMULATED_TOKEN", "valueFrom": token},
            {"name": "SSL_CERT_FILE", "value": f"{_TRUST_FOLDER}/{AUTHORITY_ENTRY}"},
        ],
        "ports": [{"containerPort": port} for port in sorted(ports.values())],
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
        "readinessProbe": {"tcpSocket": {"port": min(ports.values())}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": POD, "mountPath": _FOLDER, "readOnly": True},
            {"name": "trust", "mountPath": _TRUST_FOLDER, "readOnly": True},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }

    def volume(name: str, secret: str, entry: str) -> dict[str, Any]:
        return {"name": name, "secret": {"secretName": secret, "items": [{"key": entry, "path": entry}]}}

    user = {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER}
    return {
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [volume(POD, POD, HOSTS_ENTRY), volume("trust", CERTIFICATE_SECRET, AUTHORITY_ENTRY)],
    }
