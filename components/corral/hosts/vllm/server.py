"""What one model's servers are: all that the plan and the stack decide, vLLM's command line and its environment.

The image's entry point is `vllm serve`, which takes the weights as its argument (`--model` after it is deprecated:
vllm/utils/argparse_utils.py of v0.29).  A simulator's takes `--model`, and the same `--served-model-name` and `--port`;
what is about GPUs is left out without them.  No secret stands on the command line: vLLM reads its key from
`VLLM_API_KEY` and the Hugging Face token from `HF_TOKEN`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import Any

from corral.hosts.naming import physical
from corral.plan.gpu_fit import SEQUENCES
from corral.plan.gpus import Fit


@dataclass(frozen=True)
class Server:
    """One model at one vLLM host."""

    host: str
    model: str
    """The name clients ask for."""
    served_as: str
    """The name vLLM knows it by (`--served-model-name`)."""
    weights: str
    """A Hugging Face repository or an `s3://` path."""
    image: str
    fit: Fit | None
    """None: without GPUs, for a simulator's image."""
    drain_seconds: int
    """How long a server which is to go has for what it has begun."""
    create_seconds: int
    """The longest wait for the first servers; they go on to get ready after it."""

    @property
    def name(self) -> str:
        """Of its Deployment, Service and the rest."""
        return physical(self.model)

    @property
    def namespace(self) -> str:
        """One per host."""
        return physical("corral", self.host)

    @property
    def hostname(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def from_s3(self) -> bool:
        return self.weights.startswith("s3://")

    @property
    def scales(self) -> bool:
        """Whether there is anything to scale between."""
        return self.fit is not None and self.fit.least < self.fit.most


PORT = 8000
SECRET = "vllm"  # noqa: S105
"""The Secret in the host's namespace, with `token` and `key` where there are such."""
CACHE = "/cache"

_TOOLS = {
    "3": ("llama3_json", "examples/tool_chat_template_llama3.1_json.jinja"),
    "4": ("llama4_pythonic", "examples/tool_chat_template_llama4_pythonic.jinja"),
}
"""Per generation of Llama vLLM's parser of tool calls and the chat template in its image (docs.vllm.ai, v0.29)."""
_GENERATION = re.compile(r"llama[-_]?([0-9])", re.IGNORECASE)


def arguments(server: Server) -> list[str]:
    """What stands after the image's entry point."""
    options = {"--served-model-name": server.served_as, "--port": str(PORT)}
    if server.fit is None:
        return ["--model", server.weights, *chain.from_iterable(options.items())]
    options["--tensor-parallel-size"] = str(server.fit.gpus)
    if server.fit.context:
        options["--max-model-len"] = str(server.fit.context)
    options["--gpu-memory-utilization"] = "0.90"
    options["--max-num-seqs"] = str(SEQUENCES)
    options["--shutdown-timeout"] = str(server.drain_seconds)
    streamed = _streamed(server.fit.gpus) if server.from_s3 else ()
    return [server.weights, *chain.from_iterable(options.items()), *_tools(server), *streamed]


def _tools(server: Server) -> list[str]:
    """By the generation in the weights' name, else in the model's; none for a model that has no generation there."""
    generation = _GENERATION.search(server.weights) or _GENERATION.search(server.model)
    if generation is None or generation[1] not in _TOOLS:
        return []
    parser, template = _TOOLS[generation[1]]
    return ["--enable-auto-tool-choice", "--tool-call-parser", parser, "--chat-template", template]


def _streamed(gpus: int) -> list[str]:
    """From S3 into the GPUs, without a copy on disk."""
    extra = '{"concurrency":16,"distributed":true}' if gpus > 1 else '{"concurrency":16}'
    return ["--load-format", "runai_streamer", "--model-loader-extra-config", extra]


STORED_SECRET = "vllm-stored"  # noqa: S105
"""The Secret there with `token`, where the token comes from a store."""


def environment(
    server: Server, region: str | None, *, token: str | None = None, key: str | None = None
) -> list[dict[str, Any]]:
    """`region` is AWS's, for weights in S3; `token` and `key`: the Secrets that have such."""
    plain = {"HF_HOME": f"{CACHE}/huggingface", "VLLM_CACHE_ROOT": f"{CACHE}/vllm", "VLLM_NO_USAGE_STATS": "1"}
    if server.from_s3:
        plain["RUNAI_STREAMER_CHUNK_BYTESIZE"] = str(4 * 2**30)
        if region:
            plain["AWS_REGION"] = region
    variables: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in plain.items()]
    for name, entry, secret in (("HF_TOKEN", "token", token), ("VLLM_API_KEY", "key", key)):
        if secret:
            variables.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": entry}}})
    return variables
