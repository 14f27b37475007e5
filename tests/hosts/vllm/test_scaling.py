from __future__ import annotations

from typing import Any

from corral.hosts.vllm.scaling import scaled_object
from tests.hosts.vllm.stack import PROMETHEUS, server

METADATA = {"name": "llama-3-3-70b-3026a7", "namespace": "corral-vllm"}
OF_SERVER = '{namespace="corral-vllm",model_name="llama-3.3-70b"}'


def trigger(query: str, threshold: str) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "metadata": {
            "serverAddress": "http://prometheus.monitoring:9090",
            "query": query,
            "threshold": threshold,
            "activationThreshold": "0",
        },
    }


QUEUES = [
    trigger(f"sum(vllm:num_requests_waiting{OF_SERVER}) or vector(0)", "25"),
    trigger(f"sum(vllm:num_requests_running{OF_SERVER}) or vector(0)", "96"),
]
DEMAND = trigger(
    'clamp_max(sum(increase(gen_ai_client_token_usage_count{gen_ai_original_model="llama-3.3-70b"}[5m])), 1)'
    " or vector(0)",
    "1",
)


def scaled(least: int, most: int) -> dict[str, Any]:
    of = server({"instance": "g6e.12xlarge", "min": least, "max": most})
    assert of.fit
    return scaled_object(of, of.fit, METADATA, PROMETHEUS)


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
            "fallback": {"failureThreshold": 4, "replicas": 1},
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
    assert (spec["minReplicaCount"], spec["fallback"]["replicas"], spec["triggers"]) == (0, 1, [*QUEUES, DEMAND])
