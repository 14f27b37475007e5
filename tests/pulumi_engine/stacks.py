"""The example stacks, and edits of them as an operator makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from tests.pulumi_engine.project import EXAMPLES, Outcome, Project

Config = dict[str, Any]
Edit = Callable[[Config], None]


def _config(stack: str) -> Config:
    return yaml.safe_load((EXAMPLES / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]


def _on_a_cluster(stack: str) -> bool:
    return _config(stack).get("corral:engine", {}).get("kind") == "kubernetes"


_ALL = sorted(file.name.split(".")[1] for file in EXAMPLES.glob("Pulumi.*.yaml"))

STACKS = tuple(stack for stack in _ALL if _on_a_cluster(stack))
"""Those that Pulumi carries out."""

SHARED = tuple(
    (stack, next(model for model, declared in _config(stack)["corral:models"].items() if len(declared["shares"]) > 1))
    for stack in STACKS
)
"""Stack and model: of each the first whose traffic several hosts share."""


def move_share(model: str) -> Edit:
    """Five points of a model's traffic go from its first host to its second."""

    def edit(config: Config) -> None:
        shares = config["corral:models"][model]["shares"]
        first, second = list(shares)[:2]
        shares[first] -= 5
        shares[second] += 5

    return edit


@dataclass(frozen=True, eq=False)
class Swap:
    """A host that takes another one's place."""

    stack: str
    model: str
    leaves: str
    comes: str
    declared: Config
    """What the stack says of the one that comes."""
    provisioned: tuple[str, str]
    """Kind and logical name of the first thing that has to be there before the new host is."""

    def edit(self, config: Config) -> None:
        """Declares the new host in place of the other one, wherever that stands."""
        config["corral:gateway"] = {**config.get("corral:gateway", {}), "handover": "1ms"}
        config["corral:hosts"].pop(self.leaves)
        config["corral:hosts"][self.comes] = self.declared
        config.get("corral:keys", {}).pop(self.leaves, None)
        for model in config["corral:models"].values():
            model["shares"] = {self._now(host): share for host, share in model["shares"].items()}
            model["fallback"] = [self._now(host) for host in model.get("fallback", [])]

    def _now(self, host: str) -> str:
        return self.comes if host == self.leaves else host

    def __str__(self) -> str:
        return f"{self.stack}: {self.comes} for {self.leaves}"


@dataclass(frozen=True)
class Swapped:
    """A swap that was carried out; neither project is to be changed."""

    before: Project
    project: Project
    outcome: Outcome


_SIMULATED = {
    "kind": "vllm",
    "image": "ghcr.io/llm-d/llm-d-inference-sim:v0.10.2",
    "modelWeights": {"llama-3.3-70b": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"},
}

HOSTED = Swap("kind", "llama-3.3-70b", "deepinfra", "together", {}, ("Secret", "gateway-secret/together"))
SERVED = Swap("kind", "llama-3.3-70b", "vllm", "lab", _SIMULATED, ("Deployment", "lab-llama-3-3-70b-3026a7-deployment"))
CLOUD = Swap(
    "staging",
    "llama-3.3-70b",
    "bedrock",
    "azure",
    {"location": "eastus2", "capacity": {"llama-3.3-70b": 200, "llama-4-maverick": 100}},
    ("Deployment", "azure-deployment-llama-3.3-70b"),
)
SWAPS = (HOSTED, SERVED, CLOUD)
