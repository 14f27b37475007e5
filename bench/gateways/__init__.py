"""The gateways that are measured: one file each."""

from __future__ import annotations

from bench.gateways import bare, corral, direct, litellm, portkey
from bench.gateways.gateway import Serving

GATEWAYS: dict[str, Serving] = {
    "none": direct.serving,
    "bare": bare.serving,
    "corral": corral.serving,
    "litellm": litellm.serving,
    "portkey": portkey.serving,
}
