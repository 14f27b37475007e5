"""The whole program, run in the test world for a stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from corral import deploy as deploy_stack
from tests.world import NEVER, World, run

STACKS = Path(__file__).parents[1] / "stacks"
KEYS = {host: f"{NEVER}-{host}" for host in ("deepinfra", "together")}


def config_of(stack: str) -> dict[str, Any]:
    return yaml.safe_load((STACKS / f"Pulumi.{stack}.yaml").read_text())["config"]


def deploy(stack: str, tmp_path: Path, said: Mapping[str, Any] | None = None, keys: Mapping[str, str] = KEYS) -> World:
    """Runs the program for a stack of the repository, or for what is said in its place."""
    config = said or config_of(stack)
    file = tmp_path / f"Pulumi.{stack}.yaml"
    file.write_text(yaml.safe_dump({"config": dict(config)}))
    return run(lambda: deploy_stack(file), stack=stack, config={**config, "corral:keys": dict(keys)})
