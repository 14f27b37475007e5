"""The one test world for Pulumi: a program's recording, which fails by itself on what mocks hide.

It fails on a URN that is registered twice, on a resource that a component made and did not make its child, on a secret
that stands in the open, and on a Kubernetes object that breaks its schema.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from corral.testing import schemas
from corral.testing.mock_outputs import INVOKE_RESULTS, SECRET, InvokeResults
from corral.testing.program import NEVER, record
from corral.testing.recording import Recorded, Recording, revealed, walk

_NO_MANIFESTS = ("kubernetes:helm.sh/", "kubernetes:yaml", "kubernetes:kustomize")
"""Resources of the Kubernetes provider that are no Kubernetes objects."""


@dataclass(frozen=True)
class World(Recording):
    """What a program registered, after the checks."""

    unchecked: tuple[str, ...] = ()
    """The kinds of Kubernetes objects of which no schema is at hand, as `apiVersion/kind`."""


def run(
    program: Callable[[], object],
    *,
    stack: str = "test",
    config: Mapping[str, Any] | None = None,
    secret_keys: Collection[str] = ("corral:keys",),
    invoke_results: InvokeResults = INVOKE_RESULTS,
    preview: bool = False,
) -> World:
    """Runs a program on the mocks, as `record` does.  Raises AssertionError with every mistake that mocks hide."""
    return checked(
        record(
            program, stack=stack, config=config, secret_keys=secret_keys, invoke_results=invoke_results, preview=preview
        )
    )


def checked(recording: Recording) -> World:
    """The recording as a world.  Raises AssertionError with every mistake in it, one a line."""
    mistakes = [*_twice(recording), *_orphans(recording), *_in_the_open(recording)]
    unchecked: set[str] = set()
    for resource, manifest in manifests(recording):
        faults = _faults(json.dumps(manifest, sort_keys=True, default=str))
        if faults is None:
            unchecked.add(f"{manifest['apiVersion']}/{manifest['kind']}")
        mistakes += [f"{resource.urn}: {fault}" for fault in faults or ()]
    if mistakes:
        raise AssertionError("\n".join(mistakes))
    return World(**vars(recording), unchecked=tuple(sorted(unchecked)))


@lru_cache(maxsize=4096)
def _faults(manifest: str) -> list[str] | None:
    return schemas.faults(json.loads(manifest))


def manifests(recording: Recording) -> Iterator[tuple[Recorded, dict[str, Any]]]:
    """The Kubernetes objects that the program makes, secrets in the open."""
    for resource in recording.resources:
        token = resource.type
        object_ = token.startswith("kubernetes:") and not token.startswith(_NO_MANIFESTS)
        if object_ and not token.endswith(("Patch", "List")) and not resource.read:
            yield resource, revealed(resource.inputs)


def _twice(recording: Recording) -> Iterator[str]:
    urns = [resource.urn for resource in recording.resources]
    for urn in sorted({urn for urn in urns if urns.count(urn) > 1}):
        yield f"{urn}: registered {urns.count(urn)} times; the engine refuses that"


def _orphans(recording: Recording) -> Iterator[str]:
    for orphan, maker in recording.orphans:
        yield f"{orphan}: made by {maker} and not its child; give it parent=self"


def _in_the_open(recording: Recording) -> Iterator[str]:
    places = [
        *((resource.urn, "inputs", resource.inputs) for resource in recording.resources),
        *((urn, "outputs", outputs) for urn, outputs in recording.component_outputs.items()),
        (recording.stack, "outputs", recording.outputs),
        *((recording.stack, level, {"message": message}) for level, message in recording.messages),
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
