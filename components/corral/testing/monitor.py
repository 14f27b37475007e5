"""A stand-in for Pulumi's engine that remembers everything a program registers.

Pulumi's own mocks show a test neither parents nor dependencies, aliases or protection, and accept what the engine would
refuse; this monitor records them.  It also decodes Pulumi's wire format itself.  A secret travels as an object with a
signature (`sdk/go/common/resource/sig` of pulumi/pulumi), an unknown value as a text that nobody writes; the SDK's own
decoder moves a secret up to the whole property around it, and which part of it was secret would be lost.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import pulumi
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockMonitor, Mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import get_project, get_stack
from pulumi.runtime.stack import Stack

from corral.testing import mock_outputs
from corral.testing.recording import UNKNOWN, Recorded, Secret, World

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
_RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"

STACK = "pulumi:pulumi:Stack"


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


class RecordingMonitor(MockMonitor):
    """Records the registrations of one program.  Called from several threads at once."""

    def __init__(self, invoke_results: mock_outputs.InvokeResults) -> None:
        super().__init__(cast("Mocks", None))  # which nothing here asks
        self._invoke_results = invoke_results
        self._lock = threading.Lock()
        self._stack = ""
        self._recorded: list[Recorded] = []
        self._orphans: list[tuple[str, str]] = []
        self._classes: dict[str, type] = {}
        self._outputs: dict[str, dict[str, Any]] = {}

    def observe(self, args: pulumi.ResourceTransformationArgs) -> None:
        """Sees each resource where it is made and changes none; to be registered as a stack transformation."""
        self._classes.setdefault(args.type_, type(args.resource))
        maker = next(_makers(args.resource), None)
        if maker is not None and isinstance(args.opts.parent, Stack | None):
            self._orphans.append((f"{args.type_} {args.name}", maker.pulumi_resource_type))

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The URN as the engine makes it: the types of all parents but the stack, and its own."""
        above = parent.split("::")[2] if parent and parent != self._stack else ""
        return f"urn:pulumi:{get_stack()}::{get_project()}::{above and above + '$'}{type_}::{name}"

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> Any:  # noqa: N802
        result = self._invoke_results.get(request.tok)
        if result is None:
            raise mock_outputs.NoInvokeResultError(
                f"{request.tok} has no mock result: give it one, `run(…, invoke_results=INVOKE_RESULTS | {{…}})`"
            )
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(encoded(result(decoded(request.args))))
        return response

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK:
            self._stack = urn
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs = decoded(request.object)
        used = {urn for each in request.propertyDependencies.values() for urn in each.urns}
        outputs = self._record(
            Recorded(
                urn=urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                custom=request.custom,
                read=False,
                inputs={key: value for key, value in inputs.items() if key != "__provider"},
                dependencies=frozenset(request.dependencies),
                uses=frozenset(used | {request.provider.rpartition("::")[0]} - {""}),
                provider=request.provider,
                protect=request.protect,
                aliases=tuple(self._alias(alias, request) for alias in cast("Sequence[Any]", request.aliases)),
                replace_on_changes=tuple(request.replaceOnChanges),
                ignore_changes=tuple(request.ignoreChanges),
                delete_timeout=request.customTimeouts.delete,
            ),
            inputs,
            request.additionalSecretOutputs,
        )
        id_ = (request.importId or mock_outputs.physical_id(request.name)) if request.custom else ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=encoded(outputs))

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> Any:  # noqa: N802
        urn = self.make_urn(request.parent, request.type, request.name)
        inputs = decoded(request.properties)
        outputs = self._record(
            Recorded(
                urn=urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                custom=True,
                read=True,
                inputs=inputs | {"id": request.id},
                dependencies=frozenset(request.dependencies),
                uses=frozenset(request.dependencies),
                provider=request.provider,
            ),
            inputs,
            request.additionalSecretOutputs,
        )
        return resource_pb2.ReadResourceResponse(urn=urn, properties=encoded(outputs))

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Any:  # noqa: N802
        with self._lock:
            self._outputs[request.urn] = decoded(request.outputs)
        return empty_pb2.Empty()

    def world(self, messages: tuple[tuple[str, str], ...]) -> World:
        """All that was registered, and what the program logged."""
        return World(
            stack=self._stack,
            resources=tuple(sorted(self._recorded, key=lambda each: each.urn)),
            outputs=self._outputs.get(self._stack, {}),
            component_outputs={urn: outputs for urn, outputs in sorted(self._outputs.items()) if urn != self._stack},
            orphans=tuple(self._orphans),
            messages=messages,
        )

    def _record(self, resource: Recorded, inputs: Mapping[str, Any], secret: Iterable[str]) -> Mapping[str, Any]:
        """Keeps the resource; its outputs, of which some are secret."""
        with self._lock:
            self._recorded.append(resource)
        if not resource.custom:
            return inputs
        cls = self._classes.get(resource.type)
        return mock_outputs.outputs(cls, resource.type, resource.name, inputs, {*secret})

    def _alias(self, alias: Any, request: resource_pb2.RegisterResourceRequest) -> str:
        """The URN that an alias stands for; what it leaves out is as it is now."""
        if alias.urn:
            return alias.urn
        spec = alias.spec
        parent = "" if spec.noParent else spec.parentUrn or request.parent
        return self.make_urn(parent, spec.type or request.type, spec.name or request.name)


def _makers(resource: pulumi.Resource) -> Iterator[pulumi.ComponentResource]:
    """The components in whose constructors this is called, the innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        maker = frame.f_locals.get("self") if frame.f_code.co_name == "__init__" else None
        if isinstance(maker, pulumi.ComponentResource) and maker is not resource and not isinstance(maker, Stack):
            yield maker
        frame = frame.f_back
