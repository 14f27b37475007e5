"""How many servers a model has at a time: KEDA on what vLLM and the gateway tell Prometheus.

Policy.  KEDA rather than an adapter of metrics for a plain HorizontalPodAutoscaler: it asks Prometheus itself, and it
alone can go down to none.  Two questions, and the larger answer counts: how many requests wait (one server more for
each 25; docs.aws.amazon.com/eks, ml-inference-autoscaling-hpa-keda), and how many are being worked on (so many servers
that each has three quarters of what it can take).  The second keeps servers that are busy with an empty queue.  Servers
go one at a time, after five minutes in which fewer would have done.

At none, vLLM tells nothing.  What wakes a model is then the gateway's count of the answers that other hosts gave for
it; until the first server is ready, they go on giving them.
"""

from __future__ import annotations

import json
from typing import Any

from corral.config.cluster import Prometheus
from corral.hosts.vllm.server import SEQUENCES, Server
from corral.plan.plan import Fit

_WAITING = 25
"""Waiting requests per server."""
_RUNNING = SEQUENCES * 3 // 4
"""Requests per server that are being worked on."""
_CALM = 300
"""Seconds in which fewer servers would have done."""
_IDLE = 900
"""Seconds without a request after which a model that may sleep does."""


def scaled_object(server: Server, fit: Fit, metadata: dict[str, Any], prometheus: Prometheus) -> dict[str, Any]:
    """KEDA's object for the Deployment of this name."""
    of_server = f"{{namespace={_quoted(server.namespace)},model_name={_quoted(server.served_as)}}}"
    triggers = [
        _trigger(prometheus, f"sum(vllm:num_requests_waiting{of_server}) or vector(0)", str(_WAITING)),
        _trigger(prometheus, f"sum(vllm:num_requests_running{of_server}) or vector(0)", str(_RUNNING)),
    ]
    if fit.least == 0:
        asked = f"gen_ai_client_token_usage_count{{gen_ai_original_model={_quoted(server.model)}}}"
        # Any demand wakes one server; no demand asks for a second one: vLLM's own metrics do.
        triggers.append(_trigger(prometheus, f"clamp_max(sum(increase({asked}[5m])), 1) or vector(0)", "1"))
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"name": server.name},
            "minReplicaCount": fit.least,
            "maxReplicaCount": fit.most,
            "pollingInterval": 15,
            "cooldownPeriod": _IDLE,
            "fallback": {"failureThreshold": 4, "replicas": max(1, fit.least)},
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleUp": {"stabilizationWindowSeconds": 0},
                        "scaleDown": {
                            "stabilizationWindowSeconds": _CALM,
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                        },
                    }
                }
            },
            "triggers": triggers,
        },
    }


def _trigger(prometheus: Prometheus, query: str, threshold: str) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "metadata": {
            "serverAddress": prometheus.url,
            "query": query,
            "threshold": threshold,
            "activationThreshold": "0",
        },
    }


def _quoted(label: str) -> str:
    return json.dumps(label, ensure_ascii=False)
