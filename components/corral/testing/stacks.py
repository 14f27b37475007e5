"""Stack files: the plan of one, its program on the mocks, what an edit of its shares would touch, two of its versions.

A function that returns a list returns what is wrong, so that a test is one line: `assert errors(FILE) == []`.

Of two versions the move needs the plans alone and is always there.  The resources need a run of the program for each:
they are not known where a version is refused, or where something that its program reads cannot be read.
"""

from __future__ import annotations

import contextlib
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pulumi

from corral import deploy
from corral.catalog.load import load_catalog
from corral.config.prices import read_prices
from corral.config.problems import SECRET_PLACES, SECRETS, TENANT_SECRETS, Report
from corral.config.read import stack_from_config
from corral.config.schema import json_schema
from corral.config.stack import Secret, Stack
from corral.config.stack_file import name_of, read_config
from corral.hosts.keys import missing_keys
from corral.plan.build import build
from corral.plan.capacity import HeadroomMove, headroom_moved
from corral.plan.checks.run import check
from corral.plan.credentials import InvalidCredentialError, public_keys
from corral.plan.diff import Move, move
from corral.plan.plan import Plan
from corral.plan.residency import allowed, stays_within
from corral.testing.changes import Changes, changes
from corral.testing.mock_outputs import INVOKE_RESULTS, InvokeResults
from corral.testing.recording import NO_RESOURCES, World
from corral.testing.world import NEVER, run

Shares = Mapping[str, Mapping[str, int]]
"""Percent, by model and host."""


@dataclass(frozen=True)
class Version:
    """One version of a stack file that was read."""

    file: Path
    stack: Stack
    plan: Plan
    shown: str
    """The file's name for a person: `HEAD:stacks/Pulumi.prod.yaml`."""
    config: Mapping[str, Any] = field(repr=False)
    """What Pulumi would hand the program, by full key, with stand-ins for keys that are encrypted or not there yet."""


def read_version(file: Path, shares: Shares | None = None, shown: str | None = None) -> Version:
    """The stack in the file, with other shares where they are given.  Raises ConfigError with every mistake in it."""
    catalog = load_catalog()
    config: dict[str, Any] = {
        key: value for key, value in read_config(file, Report(str(file))).items() if value is not None
    }
    for model, of_model in (shares or {}).items():
        config["corral:models"][model]["shares"] = dict(of_model)
    plain = {key: value for key, value in config.items() if key not in SECRET_PLACES}
    stack = stack_from_config(name_of(file), plain, catalog, file)
    plan = build(stack, catalog, read_prices(file.parent))
    keys = {host: _stand_in(key) for host, key in stack.keys.items()}
    of_tenants = {
        tenant: [*map(_stand_in, keys)] if isinstance(keys, list) else _stand_in(keys)
        for tenant, keys in stack.tenant_keys.items()
    }
    missing = dict.fromkeys(missing_keys(plan, stack.keys), f"{NEVER}-missing")
    return Version(file, stack, plan, shown or str(file), plain | {SECRETS: missing | keys, TENANT_SECRETS: of_tenants})


def _stand_in(key: Secret) -> str:
    """What stands in for a key is made of its cipher text: another cipher text is another key."""
    return f"{NEVER}-{sha256(key.secure.encode()).hexdigest()}"


def run_program(
    version: Version,
    program: Callable[[], object] | None = None,
    invoke_results: InvokeResults = INVOKE_RESULTS,
    *,
    checks: bool = False,
) -> World:
    """What the program, Corral's own where none is given, registers for a version of a stack.

    On an engine that is no cluster nothing is provisioned.  Raises `pulumi.RunError` where the program refuses it.
    """
    if version.plan.engine == "local":
        return NO_RESOURCES
    return run(
        program or (lambda: deploy(version.file)),
        stack=version.stack.name,
        config=version.config,
        secret_keys=SECRET_PLACES,
        invoke_results=invoke_results,
        preview=True,
        checks=checks,
    )


def read_plan(file: str | Path) -> Plan:
    """The plan of a stack file.  Raises ConfigError with every mistake in it."""
    return read_version(Path(file)).plan


def errors(file: str | Path) -> list[str]:
    """The findings for which the plan would be refused today."""
    return _errors(read_plan(file), datetime.now(UTC).date())


def _errors(plan: Plan, today: date) -> list[str]:
    return [str(finding) for finding in check(plan, today) if finding.level == "error"]


def run_stack(
    file: str | Path, *, config: Mapping[str, Any] | None = None, invoke_results: InvokeResults = INVOKE_RESULTS
) -> World:
    """Runs the program beside the stack file on the mocks, as a preview.

    `config` is what your own part of the program reads besides, by full key (`app:replicas`), and `invoke_results` the
    results of functions that it calls.  Raises `pulumi.RunError` where the program refuses the stack, and
    AssertionError with every mistake that mocks hide.
    """
    version = read_version(Path(file).resolve())
    folder = version.file.parent
    own = (lambda: runpy.run_path(str(folder), run_name="__main__")) if (folder / "__main__.py").exists() else None
    with contextlib.chdir(folder):
        version = replace(version, config={**version.config, **(config or {})})
        return run_program(version, own, invoke_results, checks=True)


def processed_outside(plan: Plan, *places: str) -> list[str]:
    """Where requests may be processed outside of these places (`eu`) and regions: `llama-3.3-70b at azure: global`."""
    regions = allowed(places, load_catalog())
    return [
        f"{model.name} at {target.host}: {', '.join(sorted({*(target.reaches or ['unknown'])} - regions))}"
        for model in plan.models
        for target in model.targets
        if target.live and not stays_within(target, regions)
    ]


def any_shares(plan: Plan, seed: int) -> Shares:
    """An edit of the shares of all models, drawn by the seed: the same in every run."""
    draw = Random(seed)  # noqa: S311
    drawn: dict[str, dict[str, int]] = {}
    for model in plan.models:
        hosts = [target.host for target in model.targets if target.priority == 0]
        cuts = sorted(draw.randint(0, 100) for _ in hosts[1:])
        drawn[model.name] = {host: high - low for host, low, high in zip(hosts, [0, *cuts], [*cuts, 100], strict=True)}
    return drawn


_OF_SHARES = (".weight", ".headerMutation.set[0].value")
"""The ends of what an edit of shares changes in a route: the weight of each host, and the header with the plan."""


def touched_besides_routes(file: str | Path, shares: Shares) -> list[str]:
    """What an edit of these shares would touch besides the weights in routes, and the hash of the plan there; nothing
    where the edit is refused."""
    try:
        after = run_program(read_version(Path(file), shares))
    except pulumi.RunError:
        return []
    touched = changes(_before(Path(file), Path(file).read_text(encoding="utf-8")), after)
    others = (*touched.create, *touched.replace, *touched.delete)
    return [
        *(f"{change.type} {change.name}" for change in others),
        *(
            f"{change.type} {change.name}: {path}"
            for change in touched.update
            for path in change.properties
            if not (change.type.endswith(":AIGatewayRoute") and path.endswith(_OF_SHARES))
        ),
    ]


@lru_cache(maxsize=16)
def _before(file: Path, _text: str) -> World:
    return run_program(read_version(file))


def stack_schema() -> dict[str, Any]:
    """The JSON Schema of stack files, which editors read from `stacks/schema.json`."""
    return json_schema(load_catalog())


@dataclass(frozen=True)
class Comparison:
    """What lies between two versions."""

    move: Move
    headroom: tuple[HeadroomMove, ...]
    resources: Changes | None
    """None: not known."""
    refused: tuple[str, ...]
    """Why a version is refused, one reason each."""
    unreadable: tuple[str, ...]
    """What its program could not read, or stumbled over, one reason each."""

    def __bool__(self) -> bool:
        """Whether anything differs, or may."""
        return bool(self.move or self.headroom or self.resources is None or self.resources)


def compare(before: Version | None, after: Version | None, today: date) -> Comparison:
    """Runs Corral's program for each version; None: there is no such version, and so nothing of it."""
    refused: list[str] = []
    unreadable: list[str] = []
    worlds: list[World] = []
    for version in (before, after):
        if version is None:
            worlds.append(NO_RESOURCES)
            continue
        try:
            worlds.append(_provisioned(version, today))
        except pulumi.RunError as error:
            refused += [f"{version.shown}: {reason}" for reason in str(error).splitlines()]
        except Exception as error:  # whatever the program stumbles over, the move is there
            unreadable.append(f"{version.shown}: {_reason(error)}")
    return Comparison(
        move=move(before and before.plan, after and after.plan),
        headroom=headroom_moved(before and before.plan, after and after.plan),
        resources=None if refused or unreadable else changes(*worlds),
        refused=tuple(refused),
        unreadable=tuple(unreadable),
    )


def _provisioned(version: Version, today: date) -> World:
    if reasons := _errors(version.plan, today):
        raise pulumi.RunError("\n".join(reasons))
    if version.plan.engine == "kubernetes":
        public_keys(version.plan.issuers, version.file.parent)
    return run_program(version)


def _reason(error: Exception) -> str:
    match error:
        case OSError(filename=str(file), strerror=str(reason)):
            return f"{file}: {reason}"
        case InvalidCredentialError():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}"
