"""Stacks with vLLM hosts, and what comes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corral.catalog.load import load_catalog
from corral.config.cluster import Prometheus
from corral.config.read import stack_from_config
from corral.config.stack import Stack
from corral.gateway.manifests.cutover import requests
from corral.hosts.vllm.component import VllmArgs
from corral.hosts.vllm.manifests import Surroundings
from corral.hosts.vllm.server import Server
from tests.hosts.site import site

LLAMA = "llama-3.3-70b"
FP8 = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
GPUS = {"instance": "g6e.12xlarge", "min": 1, "max": 4}
PROMETHEUS = Prometheus(url="http://prometheus.monitoring:9090")


def stack(vllm: Mapping[str, Any], models: Mapping[str, Any] | None = None, **more: Any) -> Stack:
    """`more` are further keys under `corral:`."""
    values = {
        "aws:region": "us-east-1",
        "corral:engine": {"kind": "kubernetes"},
        "corral:hosts": {"bedrock": {}, "vllm": dict(vllm)},
        "corral:models": dict(models or {LLAMA: {"shares": {"vllm": 100}, "fallback": ["bedrock"]}}),
    }
    keys = {f"corral:{key}": value for key, value in more.items()}
    return stack_from_config("prod", values | keys, load_catalog())


def served(declared: Stack) -> tuple[Server, ...]:
    return tuple(VllmArgs.of("vllm", site(declared)).servers)


def server(gpus: Mapping[str, Any] | None = GPUS, weights: str = FP8, **more: Any) -> Server:
    """The only server of a host with one model."""
    (only,) = served(stack({"modelWeights": {LLAMA: weights}, **({"gpus": dict(gpus)} if gpus else {}), **more}))
    return only


def around(**more: Any) -> Surroundings:
    plain: dict[str, Any] = {
        "gateway_namespace": "envoy-gateway-system",
        "prometheus": None,
        "region": "us-east-1",
        "token": None,
        "key": None,
        "labels": {"corral-stack": "prod"},
        "requests": requests,
        "instances": ("g6e.12xlarge",),
        "own_nodes": True,
    }
    return Surroundings(**(plain | more))
