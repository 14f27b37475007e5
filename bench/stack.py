"""The stack that is measured: what it declares, and what a caller of it sends.

Everything that a team would have on is declared here; what a measurement asks for is only the number of models, the
hosts and their shares.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from bench.hosts import key, model_id
from bench.process import THIS_TREE, running
from corral.local.state_folder import Running, StateFolder
from corral.plan.credentials import hash_of, in_stack

NAME = "bench"

_CALLER = "sk-corral-the-caller-of-every-measurement"
_LIMITS = {"requestsPerMinute": 10**8, "tokensPerMinute": 10**9, "concurrentRequests": 10**5}
"""Checked for each request, and never reached."""


@dataclass(frozen=True)
class BenchStack:
    """A stack file, and what belongs to it."""

    text: str
    variables: Mapping[str, str]
    """The environment that holds the hosts' keys."""
    headers: Mapping[str, str]
    """The headers that a caller sends."""

    def save(self, project: Path) -> Path:
        """Puts the stack file into its place at once, as an editor does."""
        file = project / "stacks" / f"Pulumi.{NAME}.yaml"
        file.parent.mkdir(exist_ok=True)
        new = file.with_name("new")
        new.write_text(self.text)
        return new.replace(file)


def stack(models: Sequence[str], urls: Mapping[str, str], shares: Mapping[str, Mapping[str, int]]) -> BenchStack:
    """A stack of these models on the hosts at these URLs; `shares` are by model and host."""
    hosts = {
        host: {"kind": "openai", "url": url, "models": {model: model_id(host, model) for model in models}}
        for host, url in urls.items()
    }
    config = {
        "corral:engine": {"kind": "local", "pagePort": 0},
        "corral:tenants": {"caller": {"keys": [in_stack(hash_of(_CALLER))], **_LIMITS}},
        "corral:hosts": hosts,
        "corral:models": {model: {"shares": dict(shares[model])} for model in models},
    }
    return BenchStack(
        text=yaml.dump({"config": config}, Dumper=yaml.CSafeDumper, sort_keys=False),
        variables={f"{host.upper().replace('-', '_')}_API_KEY": key(host) for host in urls},
        headers={"authorization": f"Bearer {_CALLER}"},
    )


@asynccontextmanager
async def served(declared: BenchStack, project: Path) -> AsyncGenerator[tuple[Running, psutil.Process]]:
    """Serves it with `corral serve`, as a user would, in a project of its own.  Raises UnavailableError."""
    declared.save(project)
    command = (sys.executable, "-m", "corral.cli", "serve", "--stack", NAME, "--port", "0")
    variables = {**THIS_TREE, **declared.variables}
    registered: list[Running] = []

    def ready() -> bool:
        entry = StateFolder.of(project, NAME).running()
        registered.extend([entry] if entry else [])
        return bool(entry)

    async with running("corral", command, project, ready, cwd=project, variables=variables) as process:
        yield registered[0], process
