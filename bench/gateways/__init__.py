"""The gateways that are measured."""

from __future__ import annotations

from bench.gateways import bare, corral, direct, ferrogw, litellm, portkey, rolter, routers
from bench.gateways.gateway import Serving

GATEWAYS: dict[str, Serving] = {
    "none": direct.serving,
    "bare": bare.serving,
    "corral": corral.serving,
    "rolter": rolter.serving,
    "ferrogw": ferrogw.serving,
    "vllm-router": routers.vllm_router,
    "smg": routers.smg,
    "litellm": litellm.serving,
    "portkey": portkey.serving,
}
