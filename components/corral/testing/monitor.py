"""Pulumi's wire format ↔ plain data.

A secret travels as an object with a signature (`sdk/go/common/resource/sig` of pulumi/pulumi), an unknown value as a
text that nobody writes.  They are decoded here rather than by the SDK, whose own decoder moves a secret up to the whole
property around it: which part of it was secret would be lost.

The mock of Pulumi's engine that remembers all it is told: parents, dependencies, aliases, protection, secrets.

Pulumi's own mocks show a component's test neither of them, and let pass what the engine would refuse.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pulumi
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import get_project, get_stack
from pulumi.runtime.stack import Stack

from corral.testing import mock_outputs as made_up
from corral.testing.recording import UNKNOWN, Orphan, Recorded, Recording, Secret

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
_RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"


def decoded(properties: struct_pb2.Struct) -> dict[str, Any]:
    """A resource's properties as plain data."""
    return {key: _decoded(value) for key, value in MessageToDict(properties).items()}


def encoded(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain data as a resource's properties."""
    properties = struct_pb2.Struct()
    properties.update({key: _encoded(value) for key, value in values.items()})
    return properties


def _decoded(value: Any) -> Any:
    match value:
        case dict():
            entries = cast("dict[str, Any]", value)
            if entries.get(_SIGNATURE) == _SECRET:
                return Secret(_decoded(entries["value"]))
            if entries.get(_SIGNATURE) == _RESOURCE:
                return entries["urn"]
            return {key: _decoded(below) for key, below in entries.items()}
        case list():
            return [_decoded(below) for below in cast("list[Any]", value)]
        case float() if value.is_integer():
            return int(value)
        case str() if value == rpc.UNKNOWN:
            return UNKNOWN
        case _:
            return value


def _encoded(value: Any) -> Any:
    match value:
        case Secret():
            return {_SIGNATURE: _SECRET, "value": _encoded(value.value)}
        case Mapping():
            return {key: _encoded(below) for key, below in cast("Mapping[str, Any]", value).items()}
        case list():
            return [_encoded(below) for below in cast("list[Any]", value)]
        case _:
            return rpc.UNKNOWN if value is UNKNOWN else value


STACK = "pulumi:pulumi:Stack"


class RecordingMonitor(MockMonitor):
    """One program's registrations.  Called from several threads at once."""

    def __init__(self, answers: made_up.Answers) -> None:
        super().__init__(_Unasked())
        self._answers = answers
        self._lock = threading.Lock()
        self._stack = ""
        self._recorded: list[Recorded] = []
        self._orphans: list[Orphan] = []
        self._classes: dict[str, type] = {}
        self._outputs: dict[str, dict[str, Any]] = {}

    def observe(self, args: pulumi.ResourceTransformationArgs) -> None:
        """To be registered as a stack transformation: sees each resource where it is made; changes none."""
        self._classes.setdefault(args.type_, type(args.resource))
        maker = next(_makers(args.resource), None)
        if maker is not None and isinstance(args.opts.parent, Stack | None):
            self._orphans.append(Orphan(args.type_, args.name, maker.pulumi_resource_type))

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """As the engine makes it: the types of all parents but the stack, and its own."""
        above = parent.split("::")[2] if parent and parent != self._stack else ""
        return f"urn:pulumi:{get_stack()}::{get_project()}::{above and above + '$'}{type_}::{name}"

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> Any:  # noqa: N802
        answer = self._answers.get(request.tok)
        if answer is None:
            raise made_up.NoAnswerError(f"no answer of {request.tok} is made up: give it one in {made_up.__name__}")
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(encoded(answer(decoded(request.args))))
        return response

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK:
            self._stack = urn
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs = decoded(request.object)
        recorded = Recorded(
            urn=urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=request.custom,
            read=False,
            inputs={key: value for key, value in inputs.items() if key != "__provider"},
            provider=request.provider,
            protect=request.protect,
            aliases=tuple(self._alias(alias, request) for alias in cast("Sequence[Any]", request.aliases)),
            dependencies=frozenset(request.dependencies),
            replace_on_changes=tuple(request.replaceOnChanges),
            ignore_changes=tuple(request.ignoreChanges),
            delete_before_replace=request.deleteBeforeReplace,
            retain_on_delete=request.retainOnDelete,
            secret_outputs=tuple(request.additionalSecretOutputs),
        )
        outputs = self._made_up(recorded, inputs) if request.custom else inputs
        self._remember(recorded)
        return resource_pb2.RegisterResourceResponse(
            urn=urn,
            id=(request.importId or made_up.physical_id(request.name)) if request.custom else "",
            object=encoded(outputs),
        )

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> Any:  # noqa: N802
        urn = self.make_urn(request.parent, request.type, request.name)
        inputs = decoded(request.properties)
        recorded = Recorded(
            urn=urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=True,
            read=True,
            inputs=inputs | {"id": request.id},
            provider=request.provider,
            protect=False,
            aliases=(),
            dependencies=frozenset(request.dependencies),
            replace_on_changes=(),
            ignore_changes=(),
            delete_before_replace=False,
            retain_on_delete=False,
            secret_outputs=tuple(request.additionalSecretOutputs),
        )
        self._remember(recorded)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=encoded(self._made_up(recorded, inputs)))

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Any:  # noqa: N802
        with self._lock:
            self._outputs[request.urn] = decoded(request.outputs)
        return empty_pb2.Empty()

    def recording(self, messages: tuple[tuple[str, str], ...]) -> Recording:
        """All that was registered."""
        component_outputs = {urn: outputs for urn, outputs in sorted(self._outputs.items()) if urn != self._stack}
        return Recording(
            stack=self._stack,
            resources=tuple(sorted(self._recorded, key=lambda each: each.urn)),
            outputs=self._outputs.get(self._stack, {}),
            component_outputs=component_outputs,
            orphans=tuple(self._orphans),
            messages=messages,
        )

    def _made_up(self, recorded: Recorded, inputs: Mapping[str, Any]) -> dict[str, Any]:
        cls = self._classes.get(recorded.type)
        return made_up.outputs(cls, recorded.type, recorded.name, inputs, recorded.secret_outputs)

    def _remember(self, recorded: Recorded) -> None:
        with self._lock:
            self._recorded.append(recorded)

    def _alias(self, alias: Any, request: resource_pb2.RegisterResourceRequest) -> str:
        """The URN that an alias stands for; what it does not say is as it is now."""
        if alias.urn:
            return alias.urn
        spec = alias.spec
        parent = "" if spec.noParent else spec.parentUrn or request.parent
        return self.make_urn(parent, spec.type or request.type, spec.name or request.name)


class _Unasked(Mocks):
    """What Pulumi's monitor wants beside it; this one answers by itself."""

    def call(self, args: MockCallArgs) -> Any:
        raise NotImplementedError(args.token)

    def new_resource(self, args: MockResourceArgs) -> Any:
        raise NotImplementedError(args.typ)


def _makers(resource: pulumi.Resource) -> Iterator[pulumi.ComponentResource]:
    """The components in whose constructors this is called, the innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "__init__":
            itself = frame.f_locals.get("self")
            if (
                isinstance(itself, pulumi.ComponentResource)
                and itself is not resource
                and not isinstance(itself, Stack)
            ):
                yield itself
        frame = frame.f_back
