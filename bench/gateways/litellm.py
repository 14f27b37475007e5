"""LiteLLM's proxy, from PyPI: one worker for each core, as its documentation advises, and no database.

It asks callers for its master key; limits and usage, which need its database, are off.  It fetches nothing from
outside, no list of prices and no tokenizer.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.environment import python_environment
from bench.gateways.gateway import MODEL, Gateway
from bench.hosts import Hosts, key, model_id
from bench.process import listens, running
from corral.local.envoy_process import claim_port

VERSION = "1.106.0"
"""The newest whose requirements could all be had from PyPI when it was chosen."""
_KEY = "sk-of-the-bench"
_VARIABLES = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


@asynccontextmanager
async def serving(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:
    """Serves one model.  Raises UnavailableError."""
    programs = await python_environment("litellm", f"litellm[proxy]=={VERSION}")
    port, file = claim_port("127.0.0.1", 0), folder / "litellm.json"
    served = [
        {
            "model_name": MODEL,
            "litellm_params": {
                "model": f"openai/{model_id(host, MODEL)}",
                "api_base": hosts.url(host),
                "api_key": key(host),
                "weight": share,
            },
        }
        for host, share in shares.items()
    ]
    settings = {
        "model_list": served,
        "router_settings": {"routing_strategy": "simple-shuffle"},
        "general_settings": {"master_key": _KEY},
        "litellm_settings": {"disable_hf_tokenizer_download": True},
    }
    file.write_text(json.dumps(settings))
    workers = os.cpu_count() or 1
    command = (programs / "litellm", "--config", file, "--host", "127.0.0.1", "--port", str(port))
    command = (*command, "--num_workers", str(workers))
    async with running("litellm", command, folder, lambda: listens(port), variables=_VARIABLES) as process:
        yield Gateway(port, f"LiteLLM {VERSION}, {workers} workers", process, {"authorization": f"Bearer {_KEY}"})
