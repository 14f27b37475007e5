"""Pulumi's wire format ↔ plain data.

A secret travels as an object with a signature (`sdk/go/common/resource/sig` of pulumi/pulumi), an unknown value as a
text that nobody writes.  They are decoded here rather than by the SDK, whose own decoder moves a secret up to the whole
property around it: which part of it was secret would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import rpc

from components.preview.recording import UNKNOWN, Secret

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
