from __future__ import annotations

from corral.gateway.manifests.drill import drill_manifests, service_name

LABELS = {"managed-by": "corral", "corral-drill": "prod"}


def test_the_hosts_of_a_drill_are_one_pod_and_a_service_each():
    got = drill_manifests("registry.example.com/corral-drill", {"azure": 8001, "vllm": 8002}, LABELS)
    assert got == {
        "pod": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "hosts",
                "namespace": "corral-drill",
                "labels": LABELS,
                "annotations": {"pulumi.com/timeoutSeconds": "300"},
            },
            "spec": {
                "automountServiceAccountToken": False,
                "restartPolicy": "Never",
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "hosts",
                        "image": "registry.example.com/corral-drill",
                        "command": ["python", "-m", "corral.local.drill.pod"],
                        "env": [
                            {
                                "name": "CORRAL_SIMULATED_TOKEN",
                                "valueFrom": {"secretKeyRef": {"name": "hosts", "key": "token"}},
                            },
                            {"name": "SSL_CERT_FILE", "value": "/etc/corral-trust/ca.crt"},
                        ],
                        "ports": [{"containerPort": 8001}, {"containerPort": 8002}],
                        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
                        "readinessProbe": {"tcpSocket": {"port": 8001}, "periodSeconds": 1},
                        "volumeMounts": [
                            {"name": "hosts", "mountPath": "/etc/corral", "readOnly": True},
                            {"name": "trust", "mountPath": "/etc/corral-trust", "readOnly": True},
                        ],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
                "volumes": [
                    {
                        "name": "hosts",
                        "secret": {"secretName": "hosts", "items": [{"key": "hosts.json", "path": "hosts.json"}]},
                    },
                    {
                        "name": "trust",
                        "secret": {"secretName": "certificate", "items": [{"key": "ca.crt", "path": "ca.crt"}]},
                    },
                ],
            },
        },
        "host/azure": _service("azure-79f43c", 8001),
        "host/vllm": _service("vllm-ec8207", 8002),
    }
    assert service_name("azure") == "azure-79f43c.corral-drill.svc.cluster.local"


def _service(name: str, port: int) -> object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": "corral-drill",
            "labels": LABELS,
            "annotations": {"pulumi.com/skipAwait": "true"},
        },
        "spec": {
            "selector": {"corral-drill": "prod"},
            "ports": [{"name": "http", "port": 80, "targetPort": port}],
        },
    }
