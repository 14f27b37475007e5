"""The custom resource definitions that the gateway's manifests are held against, where they are at hand."""

from __future__ import annotations

import functools
import json
from typing import Any, cast

import jsonschema
import pytest

from tests.world import CRDS

needed = pytest.mark.skipif(
    not CRDS.is_dir(), reason=f"no custom resource definitions in {CRDS}: name their folder in CORRAL_CRDS"
)
"""For tests that need them."""


@functools.cache
def definitions() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(CRDS.glob("*.json"))]


def closed(schema: Any) -> Any:
    """The schema, refusing every field that it does not know; the API server drops those without a word."""
    if isinstance(schema, list):
        return [closed(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in cast("dict[str, Any]", schema).items()}
    if isinstance(inner.get("properties"), dict) and not inner.get("x-kubernetes-preserve-unknown-fields"):
        inner.setdefault("additionalProperties", False)
    return inner


@functools.cache
def _schemas() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (f"{definition['spec']['group']}/{version['name']}", definition["spec"]["names"]["kind"]): closed(
            version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        )
        for definition in definitions()
        for version in definition["spec"]["versions"]
        if version["served"]
    }


def faults(manifest: dict[str, Any]) -> list[str] | None:
    """What of a manifest's `spec` its definition refuses; None where there is no definition of its kind."""
    schema = _schemas().get((manifest["apiVersion"], manifest["kind"]))
    if schema is None:
        return None
    validator = jsonschema.Draft202012Validator(schema)
    return [
        f"{manifest['kind']} {error.json_path}: {error.message}" for error in validator.iter_errors(manifest["spec"])
    ]
