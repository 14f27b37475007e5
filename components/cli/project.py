"""Finds the stack file a command is about, and reads, plans and checks it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from components.catalog.load import load_catalog
from components.checks.run import check
from components.config.read import read_stack
from components.embedded.desired import Loaded
from components.embedded.source import RefusedError
from components.plan.build import build

FOLDER = "stacks"


def root() -> Path:
    """The project: this folder or the nearest one above it that has `stacks/`; this folder where there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / FOLDER).is_dir()), here)


def stack_file(stack: str) -> Path:
    """The file of a stack, relative to where the command was called, if it can be."""
    path = root() / FOLDER / f"Pulumi.{stack}.yaml"
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def complete_stack(incomplete: str) -> Iterator[str]:
    """The stacks that exist, for the shell's completion."""
    for path in sorted((root() / FOLDER).glob("Pulumi.*.yaml")):
        name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        if name.startswith(incomplete):
            yield name


StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        envvar="CORRAL_STACK",
        help="The stack: stacks/Pulumi.NAME.yaml.",
        autocompletion=complete_stack,
    ),
]
"""The option every verb has."""


def load(stack: str) -> Loaded:
    """Reads, plans and checks a stack.  Raises ConfigError with every mistake in the file."""
    return _load(stack_file(stack))


def load_servable(stack: str) -> Loaded:
    """Likewise, for what is to be served: a plan with errors is refused.  Raises ConfigError or RefusedError."""
    return load_servable_file(stack_file(stack))


def load_servable_file(file: Path) -> Loaded:
    """Likewise, of a file that may lie anywhere."""
    loaded = _load(file)
    errors = [finding for finding in loaded.findings if finding.level == "error"]
    if errors:
        raise RefusedError("\n".join(f"{loaded.file}: {finding}" for finding in errors))
    return loaded


def _load(file: Path) -> Loaded:
    catalog = load_catalog()
    read = read_stack(file, catalog)
    plan = build(read, catalog)
    return Loaded(file, read.engine, plan, check(plan, datetime.now(UTC).date()))
