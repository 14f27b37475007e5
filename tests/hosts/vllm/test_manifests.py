"""The objects of a model's servers, whole; every one holds against the schemas of Kubernetes."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from corral.config.cluster import Prometheus
from corral.gateway.manifests.cutover import requests
from corral.hosts.naming import node_pool_names
from corral.hosts.vllm.manifests import Manifest, demand, manifests, namespace, service_account
from corral.hosts.vllm.server import Server, arguments, environment
from corral.testing.schemas import KUBERNETES
from tests.hosts.vllm.stack import GPUS, LLAMA, PROMETHEUS, around, server

NAME = "llama-3-3-70b-3026a7"
SELECTOR = {"app.kubernetes.io/name": "vllm", "app.kubernetes.io/instance": NAME}
METADATA = {"name": NAME, "namespace": "corral-vllm", "labels": {"corral-stack": "prod", **SELECTOR}}


def health(period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": "/health", "port": "http"},
        "timeoutSeconds": 5,
        "periodSeconds": period,
        "failureThreshold": failures,
    }


def deployment(of: Server) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": METADATA,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": SELECTOR},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": 5_400,
            "revisionHistoryLimit": 3,
            "template": {
                "metadata": {
                    "labels": {"corral-stack": "prod", **SELECTOR},
                    "annotations": {
                        "corral/model": LLAMA,
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": "8000",
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": {
                    "serviceAccountName": "vllm",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 665,
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "nodeSelector": {
                        "node.kubernetes.io/instance-type": "g6e.12xlarge",
                        "karpenter.sh/nodepool": "corral-vllm",
                    },
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "topology.kubernetes.io/zone",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": SELECTOR},
                            "matchLabelKeys": ["pod-template-hash"],
                        }
                    ],
                    "containers": [
                        {
                            "name": "vllm",
                            "image": "vllm/vllm-openai:v0.29.0",
                            "args": arguments(of),
                            "env": environment(of, "us-east-1"),
                            "ports": [{"name": "http", "containerPort": 8000}],
                            "resources": {
                                "requests": {"cpu": "4", "memory": "32Gi", "nvidia.com/gpu": "4"},
                                "limits": {"nvidia.com/gpu": "4"},
                            },
                            "startupProbe": health(10, 360),
                            "readinessProbe": health(5, 3),
                            "livenessProbe": health(10, 12),
                            "lifecycle": {"preStop": {"sleep": {"seconds": 35}}},
                            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                            "volumeMounts": [
                                {"name": "cache", "mountPath": "/cache"},
                                {"name": "shm", "mountPath": "/dev/shm"},
                            ],
                        }
                    ],
                    "volumes": [
                        {"name": "cache", "emptyDir": {}},
                        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
                    ],
                },
            },
        },
    }


def guards(*namespaces: str) -> dict[str, Manifest]:
    return {
        "service": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": METADATA,
            "spec": {
                "clusterIP": "None",
                "selector": SELECTOR,
                "ports": [{"name": "http", "port": 8000, "targetPort": "http"}],
            },
        },
        "disruption-budget": {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": METADATA,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": SELECTOR}},
        },
        "network-policy": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": METADATA,
            "spec": {
                "podSelector": {"matchLabels": SELECTOR},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {
                        "from": [
                            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": each}}}
                            for each in namespaces
                        ],
                        "ports": [{"protocol": "TCP", "port": 8000}],
                    }
                ],
            },
        },
    }


def test_a_server_on_gpus():
    assert manifests(server(), around()) == {"deployment": deployment(server()), **guards("envoy-gateway-system")}


def test_prometheus_may_connect_and_is_told_where():
    made = manifests(server(), around(prometheus=PROMETHEUS))
    del made["scaled-object"]
    assert made == {
        "deployment": deployment(server()),
        **guards("envoy-gateway-system", "monitoring"),
        "service-monitor": {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": {**METADATA, "labels": {**METADATA["labels"], "release": "kube-prometheus-stack"}},
            "spec": {
                "selector": {"matchLabels": SELECTOR},
                "endpoints": [{"port": "http", "path": "/metrics", "interval": "15s"}],
            },
        },
    }


def test_a_server_on_nodes_that_are_there_asks_to_be_left_where_it_is():
    template = manifests(server(), around(own_nodes=False))["deployment"]["spec"]["template"]
    assert template["spec"]["nodeSelector"] == {"node.kubernetes.io/instance-type": "g6e.12xlarge"}
    assert template["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"


def test_a_server_takes_a_node_of_any_of_the_types_of_its_host():
    types = ("g6e.12xlarge", "g6e.24xlarge")
    pod = manifests(server(), around(instances=types))["deployment"]["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [
        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [*types]},
        {"key": "karpenter.sh/nodepool", "operator": "In", "values": node_pool_names("vllm", types)},
    ]


def test_a_monitor_is_one_that_the_operator_of_the_stack_selects():
    named = PROMETHEUS.model_copy(update={"monitor_labels": {"team": "ml"}})
    labels = manifests(server(), around(prometheus=named))["service-monitor"]["metadata"]["labels"]
    assert labels == {**METADATA["labels"], "team": "ml"}


def test_a_prometheus_that_reads_annotations_gets_no_service_monitor():
    reading_annotations = PROMETHEUS.model_copy(update={"scrape": "annotations"})
    assert "service-monitor" not in manifests(server(), around(prometheus=reading_annotations))


def test_a_fixed_number_of_servers_is_not_scaled_and_makes_room_for_its_successor():
    fixed = server({**GPUS, "max": 1})
    made = manifests(fixed, around(prometheus=PROMETHEUS))
    assert "scaled-object" not in made
    assert made["deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize(("prometheus", "want"), [(PROMETHEUS, 0), (None, 1)], ids=["it can be woken", "it cannot"])
def test_a_model_that_may_sleep_does_so_only_where_something_would_wake_it(prometheus: Prometheus | None, want: int):
    made = manifests(server({**GPUS, "min": 0}), around(prometheus=prometheus))
    assert made["deployment"]["spec"]["replicas"] == want


def test_a_simulator_runs_anywhere():
    of = server(gpus=None, image="registry.example.com/simulator:v1")
    pod = manifests(of, around())["deployment"]["spec"]["template"]["spec"]
    assert {"nodeSelector", "tolerations"}.isdisjoint(pod)
    assert pod["volumes"] == [{"name": "cache", "emptyDir": {}}]
    assert pod["containers"][0]["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}}


@pytest.mark.parametrize("drain", [1, 600, 3_600])
def test_a_server_is_not_killed_before_it_has_ended_what_it_began(drain: int):
    pod = manifests(replace(server(), drain_seconds=drain), around())["deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ended = container["args"][container["args"].index("--shutdown-timeout") + 1]
    assert pod["terminationGracePeriodSeconds"] > container["lifecycle"]["preStop"]["sleep"]["seconds"] + int(ended)


CUSTOM = {"ServiceMonitor", "ScaledObject"}
"""Kubernetes itself has no schema of these."""


@pytest.mark.parametrize(
    "of",
    [
        server(),
        server({**GPUS, "min": 0}),
        server({"instance": "g7e.2xlarge", "min": 1, "max": 1}, weights="s3://weights/Llama-FP8"),
        server(gpus=None, image="registry.example.com/simulator:v1"),
    ],
    ids=["on GPUs", "asleep", "from S3", "a simulator"],
)
def test_every_object_holds_against_its_schema(of: Server):
    surroundings = around(prometheus=PROMETHEUS, token="vllm", key="vllm")
    made = manifests(of, surroundings).values()
    for each in (namespace(of.namespace, surroundings), service_account(of.namespace, surroundings), *made):
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)


OF_SERVER = '{namespace="corral-vllm",model_name="llama-3.3-70b"}'


def trigger(query: str, threshold: str) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "metadata": {
            "serverAddress": "http://prometheus.monitoring:9090",
            "query": query,
            "threshold": threshold,
            "activationThreshold": "0",
            "ignoreNullValues": "false",
        },
    }


QUEUES = [
    trigger(f"sum(vllm:num_requests_waiting{OF_SERVER})", "25"),
    trigger(f"sum(vllm:num_requests_running{OF_SERVER})", "96"),
]
DEMAND = demand(requests(LLAMA))


def scaled(least: int, most: int) -> dict[str, Any]:
    of = server({"instance": "g6e.12xlarge", "min": least, "max": most})
    return manifests(of, around(prometheus=PROMETHEUS))["scaled-object"]


def test_servers_come_and_go_with_the_queues():
    assert scaled(1, 4) == {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": METADATA,
        "spec": {
            "scaleTargetRef": {"name": "llama-3-3-70b-3026a7"},
            "minReplicaCount": 1,
            "maxReplicaCount": 4,
            "pollingInterval": 15,
            "cooldownPeriod": 900,
            "fallback": {"failureThreshold": 4, "replicas": 1, "behavior": "currentReplicasIfHigher"},
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleUp": {"stabilizationWindowSeconds": 0},
                        "scaleDown": {
                            "stabilizationWindowSeconds": 300,
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                        },
                    }
                }
            },
            "triggers": QUEUES,
        },
    }


def test_a_model_that_sleeps_is_woken_by_what_the_gateway_counts():
    spec = scaled(0, 2)["spec"]
    triggers = [*QUEUES, trigger(DEMAND, "1")]
    assert (spec["minReplicaCount"], spec["fallback"]["replicas"], spec["triggers"]) == (0, 1, triggers)


SERIES = "envoy_cluster_upstream_rq_total"
ROUTE = "httproute/corral/llama-3-3-70b-3026a7-5be30c4e/rule/0"
NEXT_ROUTE = "httproute/corral/llama-3-3-70b-3026a7-0a1b2c3d/rule/0"
ANOTHER = "httproute/corral/llama-3-1-8b-7b0a55-5be30c4e/rule/0"
RUNNING = f"sum(vllm:num_requests_running{OF_SERVER})"


def counted(cluster: str) -> str:
    return f'{SERIES}{{envoy_cluster_name="{cluster}"}}'


@pytest.mark.parametrize(
    ("query", "series", "want"),
    [
        pytest.param(DEMAND, {counted(ROUTE): "0x20"}, 0, id="nobody asks"),
        pytest.param(DEMAND, {counted(ROUTE): "0x17 1 1 1"}, 1, id="the first request of all"),
        pytest.param(DEMAND, {counted(ROUTE): "7x20"}, 0, id="nobody asks any more"),
        pytest.param(
            DEMAND, {counted(ROUTE): "7x18 _ _", counted(NEXT_ROUTE): "_x18 1 1"}, 1, id="born with its first request"
        ),
        pytest.param(
            DEMAND, {counted(ROUTE): "7x18 _ _", counted(NEXT_ROUTE): "_x18 0 0"}, 0, id="a new route that nobody asks"
        ),
        pytest.param(DEMAND, {counted(ROUTE): "7x17 1 1 1"}, 1, id="an Envoy that started anew"),
        pytest.param(DEMAND, {counted(ANOTHER): "0+5x20"}, None, id="nobody reads the counter"),
        pytest.param(RUNNING, {f"vllm:num_requests_running{OF_SERVER}": "0x20"}, 0, id="a server without work"),
        pytest.param(RUNNING, {counted(ROUTE): "0x20"}, None, id="nobody reads the servers"),
    ],
)
def test_what_prometheus_does_not_know_is_no_load_of_nothing(
    query: str, series: dict[str, str], want: int | None, tmp_path: Path
):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH (Debian: apt-get install prometheus)")
    samples = [] if want is None else [{"labels": "{}", "value": want}]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "20m", "exp_samples": samples}],
    }
    (tmp_path / "test.json").write_text(json.dumps({"tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", "test.json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
