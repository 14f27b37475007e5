"""The whole program, run in the test world for a stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from corral import deploy as deploy_stack
from corral.testing import NEVER, World, run

EXAMPLES = Path(__file__).parents[1] / "stacks" / "examples"
KEYS = {host: f"{NEVER}-{host}" for host in ("deepinfra", "together")}


def config_of(stack: str) -> dict[str, Any]:
    return yaml.safe_load((EXAMPLES / f"Pulumi.{stack}.yaml").read_text())["config"]


def deploy(
    stack: str, tmp_path: Path, edited: Mapping[str, Any] | None = None, keys: Mapping[str, str] = KEYS
) -> World:
    """Runs the program for an example, or for a configuration in its place."""
    config = edited or config_of(stack)
    file = tmp_path / f"Pulumi.{stack}.yaml"
    file.write_text(yaml.safe_dump({"config": dict(config)}))
    return run(lambda: deploy_stack(file), stack=stack, config={**config, "corral:keys": dict(keys)})
