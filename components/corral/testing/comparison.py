"""Two versions of a stack beside each other: the move, and the resources that it would touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pulumi

from corral.catalog.catalog import Catalog
from corral.config.read import read_stack
from corral.config.stack import Stack
from corral.plan.build import build
from corral.plan.checks.run import check
from corral.plan.diff import Move, move
from corral.plan.plan import Plan
from corral.testing.changes import Changes, changes
from corral.testing.program import run_program
from corral.testing.recording import NO_RESOURCES, Recording


@dataclass(frozen=True)
class Version:
    """One version of a stack file that was read."""

    file: Path
    shown: str
    """How the file is called to a person: `HEAD:stacks/Pulumi.prod.yaml`."""
    stack: Stack
    plan: Plan


@dataclass(frozen=True)
class Comparison:
    """What lies between two versions."""

    move: Move
    resources: Changes | None
    """None: not known, because a version is refused."""
    refused: tuple[str, ...]
    """Why, one reason each."""

    def __bool__(self) -> bool:
        """Whether anything differs, or may."""
        return bool(self.move or self.refused or self.resources)


def read_version(file: Path, shown: str, catalog: Catalog) -> Version:
    """Raises ConfigError."""
    stack = read_stack(file, catalog)
    return Version(file, shown, stack, build(stack, catalog))


def compare(before: Version | None, after: Version | None, today: date) -> Comparison:
    """Runs the program for each version; None: there is no such version, and so nothing of it.

    A version that the checks or the program refuse has no resources to look at: the move is still told.
    """
    refused: list[str] = []
    recordings = [_recording(version, today, refused) for version in (before, after)]
    return Comparison(
        move=move(before and before.plan, after and after.plan),
        resources=None if refused else changes(*recordings),
        refused=tuple(refused),
    )


def _recording(version: Version | None, today: date, refused: list[str]) -> Recording:
    if version is None:
        return NO_RESOURCES
    errors = [str(finding) for finding in check(version.plan, today) if finding.level == "error"]
    if not errors:
        try:
            return run_program(version.file, version.stack, version.plan)
        except pulumi.RunError as error:
            errors = str(error).splitlines()
    refused += _of(version, errors)
    return NO_RESOURCES


def _of(version: Version, reasons: Sequence[str]) -> list[str]:
    return [f"{version.shown}: {reason}" for reason in reasons]
