"""What a cluster's Prometheus knows of one model over the last seconds, for a ramp to be judged by.

The metrics are those of `records`: Envoy AI Gateway tells hosts apart by their ids of the model alone.  What those with
the same id did is that of the one which shares the model, fallbacks having little; where several share it, nothing is
known of them.  Envoy tells of which model a host is ejected, not which host: each of them may be it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from corral.gateway.manifests.cutover import clusters
from corral.monitoring.records import by_id, quoted
from corral.plan.plan import ModelPlan, Target
from corral.plan.ramps import Observed, ObservedHost

_PATIENCE_SECONDS = 30.0


class PrometheusError(Exception):
    """Prometheus cannot be asked; the message says why."""


class Sample(BaseModel):
    """One of an instant vector (prometheus.io/docs/prometheus/latest/querying/api, Instant vectors)."""

    metric: dict[str, str]
    value: tuple[float, str]


class _Data(BaseModel):
    result: list[Sample]


class _Answer(BaseModel):
    data: _Data


def queries(model: ModelPlan, seconds: int) -> dict[str, str]:
    """The expressions, by what they tell."""
    of = f"gen_ai_original_model={quoted(model.name)}"
    count, first = "gen_ai_server_request_duration_seconds_count", "gen_ai_server_time_to_first_token_seconds_bucket"
    window = f"[{seconds}s]"
    return {
        "requests": "sum by (envoy_response_code_class) "
        f"(increase(envoy_cluster_upstream_rq_xx{{{clusters(model.name)}}}{window}))",
        "ejected": f"sum(envoy_cluster_outlier_detection_ejections_active{{{clusters(model.name)}}})",
        "attempts": f"sum by (gen_ai_request_model) (increase({count}{{{of}}}{window}))",
        "failed": f'sum by (gen_ai_request_model) (increase({count}{{{of},error_type!=""}}{window}))',
        "first": f"histogram_quantile(0.95, sum by (gen_ai_request_model, le) (rate({first}{{{of}}}{window})))",
        "tokens": "sum by (gen_ai_request_model, gen_ai_token_type) "
        f"(increase(gen_ai_client_token_usage_sum{{{of}}}{window}))",
    }


def observe(url: str, model: ModelPlan, seconds: int) -> Observed:
    """What it knows.  Raises PrometheusError."""
    with httpx.Client(base_url=url, timeout=_PATIENCE_SECONDS) as client:
        return observed(model, {name: _samples(client, query) for name, query in queries(model, seconds).items()})


def _samples(client: httpx.Client, query: str) -> list[Sample]:
    try:
        answer = client.get("/api/v1/query", params={"query": query})
        if answer.status_code != 200:
            raise PrometheusError(f"Prometheus at {client.base_url} answers {answer.status_code}: {_reason(answer)}")
        return _Answer.model_validate_json(answer.content).data.result
    except httpx.HTTPError as reason:
        raise PrometheusError(f"Prometheus does not answer at {client.base_url}: {reason!r}") from None
    except ValidationError:
        raise PrometheusError(f"what answers at {client.base_url} is no Prometheus") from None


def _reason(answer: httpx.Response) -> str:
    try:
        error: Any = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = answer.text
    return " ".join(str(error).split())[:200]


def observed(model: ModelPlan, results: Mapping[str, list[Sample]]) -> Observed:
    """From the samples of each query."""
    by_class = _numbers(results["requests"], "envoy_response_code_class")
    attempts, failed, first = (
        _numbers(results[name], "gen_ai_request_model") for name in ("attempts", "failed", "first")
    )
    tokens = _numbers(results["tokens"], "gen_ai_request_model", "gen_ai_token_type")
    ejected = any(_number(sample) for sample in results["ejected"])
    hosts = {
        host: ObservedHost(
            attempts=round(attempts[model_id,]),
            failed_attempts=round(failed[model_id,]),
            ejected=ejected,
            first_byte_p95=round(1_000 * first[model_id,]) if (model_id,) in first else None,
            input_tokens=round(tokens[model_id, "input"]),
            output_tokens=round(tokens[model_id, "output"]),
        )
        for model_id, targets in by_id(model).items()
        for host in _alone(targets)
    }
    return Observed(round(sum(by_class.values())), round(by_class["5",]), hosts)


def _alone(targets: list[Target]) -> list[str]:
    """The host that the numbers of an id are about; none: several."""
    sharing = [target.host for target in targets if target.role == "share"] or [target.host for target in targets]
    return sharing if len(sharing) == 1 else []


def _numbers(samples: list[Sample], *labels: str) -> defaultdict[tuple[str, ...], float]:
    """By the values of the labels; what is not a number (there was nothing to divide) is left out."""
    numbers: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for sample in samples:
        if math.isfinite(number := _number(sample)):
            numbers[tuple(sample.metric.get(label, "") for label in labels)] += number
    return numbers


def _number(sample: Sample) -> float:
    return float(sample.value[1])
