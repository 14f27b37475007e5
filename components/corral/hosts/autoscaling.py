"""What KEDA scales by what Prometheus counts: the servers of vLLM, and the Envoys.

What Prometheus does not know is no load of 0 but a failure (`ignoreNullValues`): the pods that there are stay, and what
sleeps is not woken by it.  KEDA does so since 2.17 (`currentReplicasIfHigher`; pkg/scaling/executor).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from corral.config.cluster import Prometheus

_SCALE_DOWN_SECONDS = 300
"""In which fewer pods would have done."""
_IDLE_SECONDS = 900
"""Without a request, after which what may sleep does."""
_POLL_SECONDS = 15
_FAILURES = 4
"""Polls in a row without an answer, after which the pods that there are are enough for the time being."""


def trigger(prometheus: Prometheus, query: str, per_pod: int) -> dict[str, Any]:
    """A question to Prometheus, and the part of its answer that one pod is for."""
    metadata = {
        "serverAddress": prometheus.url,
        "query": query,
        "threshold": str(per_pod),
        "activationThreshold": "0",
        "ignoreNullValues": "false",
    }
    return {"type": "prometheus", "metadata": metadata}


def scaled(deployment: str, least: int, most: int, triggers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The spec of a ScaledObject: the largest answer counts; pods come at once and go one at a time."""
    behavior = {
        "scaleUp": {"stabilizationWindowSeconds": 0},
        "scaleDown": {
            "stabilizationWindowSeconds": _SCALE_DOWN_SECONDS,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        },
    }
    return {
        "scaleTargetRef": {"name": deployment},
        "minReplicaCount": least,
        "maxReplicaCount": most,
        "pollingInterval": _POLL_SECONDS,
        "cooldownPeriod": _IDLE_SECONDS,
        "fallback": {
            "failureThreshold": _FAILURES,
            "replicas": max(1, least),
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}},
        "triggers": [*triggers],
    }
