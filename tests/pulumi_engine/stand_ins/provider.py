"""A provider as Pulumi's engine talks to it, over gRPC, for a cloud or a cluster that is only pretended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn, Protocol, cast

import grpc
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from corral.testing.monitor import decoded, encoded
from corral.testing.recording import revealed
from tests.pulumi_engine.history import Event, Verb
from tests.pulumi_engine.stand_ins.comparison import Path
from tests.pulumi_engine.stand_ins.construct import construct
from tests.pulumi_engine.stand_ins.store import Store, Thing

_HANG_SECONDS = 0.1
"""How often something that hangs asks whether it still does."""


class World(Protocol):
    """What stands behind a provider."""

    package: str

    def refusal(self, verb: str, type_: str, inputs: Mapping[str, Any], /) -> str | None: ...

    def id(self, type_: str, name: str, inputs: Mapping[str, Any], /) -> str: ...

    def configure(self, options: Mapping[str, Any], /) -> None: ...

    def outputs(
        self,
        type_: str,
        name: str,
        inputs: Mapping[str, Any],
        id_: str | None,
        before: Mapping[str, Any] | None,
        /,
    ) -> dict[str, Any]: ...

    def diff(
        self, type_: str, old: Mapping[str, Any], outputs: Mapping[str, Any], new: Mapping[str, Any], /
    ) -> tuple[set[Path], set[Path], bool]: ...

    def refreshed(self, type_: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any], /) -> dict[str, Any]: ...

    def lookup(self, type_: str, id_: str, /) -> dict[str, Any] | None: ...

    def status(self, type_: str, /) -> dict[str, Any]: ...

    def answer(self, token: str, args: Mapping[str, Any], /) -> Mapping[str, Any]: ...


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """Keeps what it is given, writes down what it does, and fails where it is told to.

    What it was given as a secret it gives back as one, at the same place; what it makes of a secret besides it gives
    back in the open.
    """

    def __init__(self, world: World, store: Store, version: str) -> None:
        self._world, self._store, self._version = world, store, version

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:  # noqa: ARG002, N802
        return plugin_pb2.PluginInfo(version=self._version)

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:  # noqa: ARG002, N802
        self._world.configure(decoded(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: ARG002, N802
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:  # noqa: ARG002, N802
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(encoded(self._world.answer(request.tok, decoded(request.args))))
        return response

    def Construct(self, request: Any, context: Any) -> provider_pb2.ConstructResponse:  # noqa: ARG002, N802
        return construct(request)

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:  # noqa: ARG002, N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:  # noqa: ARG002, N802
        sent = map(decoded, (request.old_inputs, request.olds, request.news))
        changed, replaced, delete_first = self._world.diff(request.type, *sent)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted({str(path[0]) for path in changed}),
            replaces=sorted({str(path[0]) for path in replaced}),
            deleteBeforeReplace=delete_first,
        )

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:  # noqa: N802
        inputs = decoded(request.properties)
        if request.preview:
            planned = self._world.outputs(request.type, request.name, inputs, None, None)
            return provider_pb2.CreateResponse(properties=encoded(planned))
        event = self._begin("create", request.urn, inputs, context)
        id_ = self._world.id(request.type, request.name, event.inputs)
        outputs = self._keep(request, id_, inputs)
        self._end(event, id_, outputs, context)
        return provider_pb2.CreateResponse(id=id_, properties=outputs)

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:  # noqa: N802
        inputs = decoded(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=encoded({**decoded(request.olds), **inputs}))
        event = self._begin("update", request.urn, inputs, context)
        outputs = self._keep(request, request.id, inputs)
        self._end(event, request.id, outputs, context)
        return provider_pb2.UpdateResponse(properties=outputs)

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802
        event = self._begin("delete", request.urn, decoded(request.old_inputs), context)
        self._store.remove(self._world.package, request.type, request.id)
        self._store.note(replace(event, step="done"))
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:  # noqa: ARG002, N802
        thing = self._store.get(self._world.package, request.type, request.id)
        now = self._world.status(request.type)
        if thing is not None:
            outputs = {**decoded(_struct(thing.outputs)), **now}
            inputs = self._world.refreshed(request.type, decoded(request.inputs), outputs)
            return provider_pb2.ReadResponse(id=thing.id, inputs=encoded(inputs), properties=encoded(outputs))
        existing = self._world.lookup(request.type, request.id)
        if existing is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id, inputs=encoded(existing), properties=encoded({**existing, **now})
        )

    def _begin(self, verb: Verb, urn: str, inputs: Mapping[str, Any], context: grpc.ServicerContext) -> Event:
        """Writes down that it begins, and lets it fail where it must."""
        event = Event(verb, "begun", urn, revealed(inputs))
        self._store.note(event)
        why = "it was told to fail" if self._store.fails(verb, event) else None
        why = why or self._world.refusal(verb, event.type, event.inputs)
        if why:
            self._store.note(replace(event, step="failed"))
            _abort(context, f"{verb} of {event.type} {event.name}: {why}")
        return event

    def _keep(self, request: Any, id_: str, inputs: Mapping[str, Any]) -> struct_pb2.Struct:
        earlier = self._store.get(self._world.package, request.type, id_)
        before = decoded(_struct(earlier.outputs)) if earlier else None
        outputs = encoded(self._world.outputs(request.type, request.name, inputs, id_, before))
        self._store.put(
            Thing(
                self._world.package,
                request.type,
                id_,
                request.urn,
                revealed(inputs),
                MessageToDict(outputs),
            )
        )
        return outputs

    def _end(self, event: Event, id_: str, outputs: struct_pb2.Struct, context: grpc.ServicerContext) -> None:
        """Writes down that it is done; or, of what is there and does not get ready, that it failed, now or never."""
        while self._store.fails("hang", event):
            time.sleep(_HANG_SECONDS)
        ready = not self._store.fails("ready", event)
        self._store.note(replace(event, step="done" if ready else "failed"))
        if not ready:
            why = f"{event.type} {event.name} is there and does not get ready"
            _abort(context, why, provider_pb2.ErrorResourceInitFailed(id=id_, properties=outputs, reasons=[why]))


def _abort(context: grpc.ServicerContext, why: str, detail: Any = None) -> NoReturn:
    if detail is not None:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status = status_pb2.Status(code=cast("int", grpc.StatusCode.UNKNOWN.value[0]), message=why, details=[packed])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, why)
    raise AssertionError(why)


def _struct(wire: Mapping[str, Any]) -> struct_pb2.Struct:
    return ParseDict(dict(wire), struct_pb2.Struct())
