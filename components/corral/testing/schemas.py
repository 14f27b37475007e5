"""The schemas that Kubernetes objects are held against, where they are at hand.

Built-in kinds have theirs in the package `kubernetes-validate`, custom resources in the folder that the environment
variable CORRAL_CRDS names: their definitions, one a file, as JSON (`kubectl get crd NAME -o json > NAME.json`).  A kind
without a schema goes unchecked, and a world says which.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

KUBERNETES = "1.33"
"""The version whose schemas built-in kinds are held against: the oldest that the clusters here have."""


@cache
def definitions() -> list[dict[str, Any]]:
    """The custom resource definitions, in order of their files' names; none where their folder is not here."""
    folder = Path(os.environ.get("CORRAL_CRDS") or os.devnull)
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def faults(manifest: Mapping[str, Any]) -> list[str] | None:
    """What of a manifest its schema refuses, in order of place; None where there is no schema of its kind."""
    schema = _custom().get((manifest["apiVersion"], manifest["kind"]))
    if schema is None:
        return _faults_of_built_in(manifest)
    validator = import_module("jsonschema").Draft7Validator(schema)
    return sorted(map(_fault, validator.iter_errors(manifest)))


def _faults_of_built_in(manifest: Mapping[str, Any]) -> list[str] | None:
    try:
        package = import_module("kubernetes_validate")
    except ModuleNotFoundError:
        return None
    try:
        package.validate(manifest, KUBERNETES, strict=True)
    except package.SchemaNotFoundError:
        return None
    except package.ValidationError as error:
        return [_fault(error)]
    return []


def _fault(error: Any) -> str:
    """Where in the manifest, and what."""
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


@cache
def _custom() -> dict[tuple[str, str], dict[str, Any]]:
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
        return [closed(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    entries = cast("dict[str, Any]", schema)
    result = {key: closed(value) for key, value in entries.items() if key != "properties"}
    if "properties" in entries:
        result["properties"] = {name: closed(below) for name, below in entries["properties"].items()}
        if top:
            result["properties"]["metadata"] = {"type": "object"}
        if not entries.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    if entries.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    return result
