"""The one test world for Pulumi: runs a program on mocks to its end, and fails by itself on what mocks hide.

    world = run(lambda: Bedrock("bedrock", args))
    assert world["profile"].inputs == {...}

It fails on a URN that is registered twice, on a resource that a component made and did not make its child, on a secret
that stands in the open, and on a Kubernetes object that breaks its schema.
"""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import kubernetes_validate
import pytest

from corral.testing import mock_outputs as made_up
from corral.testing.program import record
from corral.testing.recording import Recorded, Recording, revealed, walk
from tests.kubernetes import crds

KUBERNETES = "1.33"
"""The version whose schemas manifests are held against: the oldest that the clusters here have."""

NEVER = "sk-NEVER"
"""Every secret that a test gives begins like this, and is looked for wherever no secret may stand."""

_NO_MANIFESTS = ("kubernetes:helm.sh/", "kubernetes:yaml", "kubernetes:kustomize")
"""Resources of the Kubernetes provider that are no Kubernetes objects."""


@dataclass(frozen=True)
class World:
    """What a program registered, after the checks."""

    recording: Recording
    unchecked: tuple[str, ...]
    """Custom resources of which no schema is here, as `apiVersion/kind`."""

    @property
    def resources(self) -> tuple[Recorded, ...]:
        """In order of URN."""
        return self.recording.resources

    @property
    def outputs(self) -> Mapping[str, Any]:
        """What the program exports."""
        return self.recording.outputs

    def of_type(self, type_: str) -> tuple[Recorded, ...]:
        """The resources whose type token is this one or ends in it: `Secret`."""
        return self.recording.of_type(type_)

    def __getitem__(self, name: str) -> Recorded:
        """The only resource of this logical name."""
        return self.recording[name]


def run(
    program: Callable[[], object],
    *,
    stack: str = "test",
    config: Mapping[str, Any] | None = None,
    secret_keys: Collection[str] = ("corral:keys",),
    answers: made_up.Answers = made_up.ANSWERS,
    preview: bool = False,
) -> World:
    """Runs the program and checks what it registered."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "aws.ec2/", DeprecationWarning)  # said by pulumi-aws while it is imported
        recording = record(
            program, stack=stack, config=config, secret_keys=secret_keys, answers=answers, preview=preview
        )
    mistakes = [*_twice(recording), *_orphans(recording), *_in_the_open(recording)]
    unchecked: set[str] = set()
    for resource, manifest in manifests(recording):
        problem = _schema_problem(json.dumps(manifest, sort_keys=True, default=str))
        if problem == _NO_SCHEMA:
            unchecked.add(f"{manifest['apiVersion']}/{manifest['kind']}")
        elif problem:
            mistakes.append(f"{resource.urn}: {problem}")
    if mistakes:
        pytest.fail("\n".join(mistakes), pytrace=False)
    return World(recording, tuple(sorted(unchecked)))


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
    for orphan in recording.orphans:
        yield f"{orphan.type} {orphan.name}: made by {orphan.maker} and not its child; give it parent=self"


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
    """As it is, or in base64 at any of the three places at which it can begin there."""
    for secret in (NEVER, made_up.SECRET):
        if secret in text:
            return True
        for before in range(3):
            coded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
            if coded[4 if before else 0 : -1] in text:
                return True
    return False


_NO_SCHEMA = "no schema"


@lru_cache(maxsize=4096)
def _schema_problem(manifest: str) -> str | None:
    """What is wrong with it; `_NO_SCHEMA` where that cannot be told."""
    given = json.loads(manifest)
    if (faults := crds.faults(given)) is not None:
        return faults[0] if faults else None
    try:
        kubernetes_validate.validate(given, KUBERNETES, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return _NO_SCHEMA
    except kubernetes_validate.ValidationError as found:
        return crds.said(found)
    return None
