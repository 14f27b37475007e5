"""The one test world for Pulumi: runs a program on the recording mocks, and fails by itself on what mocks hide.

A program runs apart from everything else in this process.  The checks find a URN that is registered twice, a resource
that a component made and did not make its child, a secret that stands in the open, and a Kubernetes object that breaks
its schema or that an API server would not keep as it is.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pulumi
from pulumi.runtime import stack as pulumi_stack
from pulumi.runtime.config import set_all_config
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.settings import Settings, configure

from corral.testing import schemas
from corral.testing.mock_outputs import INVOKE_RESULTS, SECRET, InvokeResults
from corral.testing.monitor import RecordingMonitor
from corral.testing.recording import Recorded, World, revealed, walk

PROJECT = "corral"

NEVER = "sk-NEVER"
"""A secret of a test begins like this; a world looks for it wherever no secret may stand."""

_NO_MANIFESTS = ("kubernetes:helm.sh/", "kubernetes:yaml", "kubernetes:kustomize")
"""Resources of the Kubernetes provider that are no Kubernetes objects."""


def run(
    program: Callable[[], object],
    *,
    stack: str = "test",
    config: Mapping[str, Any] | None = None,
    secret_keys: Collection[str] = ("corral:keys",),
    invoke_results: InvokeResults = INVOKE_RESULTS,
    preview: bool = False,
    checks: bool = True,
) -> World:
    """What the program registers, once everything it started has come to its end.

    `config` maps full keys (`corral:hosts`) to plain data, of which `secret_keys` are secret; `preview` is what
    `pulumi.runtime.is_dry_run()` returns.  Whatever the program raises is raised, and AssertionError with every mistake
    in what it registered, unless there are to be no `checks`.
    """
    monitor = RecordingMonitor(invoke_results)
    messages: list[tuple[str, str]] = []
    log = logging.Logger("program", logging.INFO)
    log.addHandler(_Keeping(messages))

    def observed() -> None:
        pulumi.runtime.register_stack_transformation(monitor.observe)
        program()

    async def running() -> None:
        configure(Settings(PROJECT, stack, monitor=monitor, engine=MockEngine(log), dry_run=preview))
        await pulumi_stack.run_in_stack(observed)

    def with_config() -> None:
        set_all_config({key: _as_text(value) for key, value in (config or {}).items()}, [*secret_keys])
        asyncio.run(running())

    contextvars.Context().run(with_config)
    world = monitor.world(tuple(messages))
    return _checked(world) if checks else world


class _Keeping(logging.Handler):
    def __init__(self, messages: list[tuple[str, str]]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append((record.levelname.lower(), record.getMessage()))


def _as_text(value: Any) -> str:
    """As Pulumi hands a program its configuration: text as it is, everything else as JSON with sorted keys."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _checked(world: World) -> World:
    mistakes = [*_twice(world), *_orphans(world), *_in_the_open(world)]
    unchecked: set[str] = set()
    for resource, manifest in manifests(world):
        faults = _faults(json.dumps(manifest, sort_keys=True, default=str))
        if faults is None:
            unchecked.add(f"{manifest['apiVersion']}/{manifest['kind']}")
        mistakes += [f"{resource.urn}: {fault}" for fault in (*(faults or ()), *_not_kept(manifest))]
    if mistakes:
        raise AssertionError("\n".join(mistakes))
    return replace(world, unchecked=tuple(sorted(unchecked)))


@lru_cache(maxsize=4096)
def _faults(manifest: str) -> list[str] | None:
    return schemas.faults(json.loads(manifest))


def _not_kept(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What an API server takes away from an object, so that each `pulumi up` would add it again."""
    for path, value, _ in walk(manifest):
        if path.startswith("metadata.") and value in ({}, []):
            yield f"{path} is empty, which no API server keeps; leave it out"


def manifests(world: World) -> Iterator[tuple[Recorded, dict[str, Any]]]:
    """The Kubernetes objects that the program makes, secrets in the open."""
    for resource in world.resources:
        token = resource.type
        object_ = token.startswith("kubernetes:") and not token.startswith(_NO_MANIFESTS)
        if object_ and not token.endswith(("Patch", "List")) and not resource.read:
            yield resource, revealed(resource.inputs)


def _twice(world: World) -> Iterator[str]:
    urns = [resource.urn for resource in world.resources]
    for urn in sorted({urn for urn in urns if urns.count(urn) > 1}):
        yield f"{urn}: registered {urns.count(urn)} times; the engine refuses that"


def _orphans(world: World) -> Iterator[str]:
    for orphan, maker in world.orphans:
        yield f"{orphan}: made by {maker} and not its child; give it parent=self"


def _in_the_open(world: World) -> Iterator[str]:
    places = [
        *((resource.urn, "inputs", resource.inputs) for resource in world.resources),
        *((urn, "outputs", outputs) for urn, outputs in world.component_outputs.items()),
        (world.stack, "outputs", world.outputs),
        *((world.stack, level, {"message": message}) for level, message in world.messages),
    ]
    for urn, where, data in places:
        for path, value, secret in walk(data):
            if not secret and isinstance(value, str) and _holds_secret(value):
                yield f"{urn}: a secret stands in the open in {where}, at {path}"


def _holds_secret(text: str) -> bool:
    """Whether one stands there as it is, or in base64 at any of the three places at which it can begin there."""
    for secret in (NEVER, SECRET):
        if secret in text:
            return True
        for before in range(3):
            coded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
            if coded[4 if before else 0 : -1] in text:
                return True
    return False
