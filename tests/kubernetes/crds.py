"""The custom resource definitions that manifests are held against, where they are at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

CRDS = Path(os.environ.get("CORRAL_CRDS") or Path(__file__).parents[3] / "shared" / "crds")
"""The definitions, one a file, as JSON."""

needed = pytest.mark.skipif(
    not CRDS.is_dir(), reason=f"no custom resource definitions in {CRDS}: name their folder in CORRAL_CRDS"
)
"""For tests that need them."""


@cache
def definitions() -> list[dict[str, Any]]:
    """In order of their files' names; none where they are not here.

    A number that its format has no room for is of a larger one, as Envoy Gateway has it since 1.8.2: an API server of
    Kubernetes 1.36 takes no object that has such a number.
    """
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(CRDS.glob("*.json"))]
    return [widened(definition) for definition in read]


def widened(schema: Any) -> Any:
    """The schema with `int64` for `int32` where the maximum says so."""
    match schema:
        case {"format": "int32", "maximum": int(most)} if most >= 2**31:
            return {**schema, "format": "int64"}
        case dict():
            return {key: widened(below) for key, below in cast("dict[str, Any]", schema).items()}
        case list():
            return [widened(below) for below in cast("list[Any]", schema)]
        case _:
            return schema


def faults(manifest: Mapping[str, Any]) -> list[str] | None:
    """What of a manifest its definition refuses, in order of place; None where there is no definition of its kind."""
    schema = _schemas().get((manifest["apiVersion"], manifest["kind"]))
    if schema is None:
        return None
    return [said(error) for error in sorted(jsonschema.Draft7Validator(schema).iter_errors(manifest), key=said)]


def said(error: jsonschema.ValidationError) -> str:
    """Where in the manifest, and what."""
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


@cache
def _schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """By API version and kind."""
    return {
        (f"{spec['group']}/{version['name']}", spec["names"]["kind"]): closed(
            version["schema"]["openAPIV3Schema"], top=True
        )
        for spec in (definition["spec"] for definition in definitions())
        for version in spec["versions"]
        if version["served"]
    }


def closed(schema: Any, *, top: bool = False) -> Any:
    """The schema with unknown fields refused wherever it names the known ones; an API server drops them in silence."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        result["properties"] = {name: closed(below) for name, below in schema["properties"].items()}
        if top:
            result["properties"]["metadata"] = {"type": "object"}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    return result
