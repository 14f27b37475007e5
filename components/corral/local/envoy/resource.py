"""The form of what Envoy reads: JSON, in which each message of its API names its type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Resource = dict[str, Any]
"""A message in its JSON form."""


def typed(kind: str, fields: Resource | None = None) -> Resource:
    """A message of Envoy's API; `kind` is its type without the prefix `envoy.`."""
    return {"@type": type_url(kind), **(fields or {})}


def type_url(kind: str) -> str:
    return f"type.googleapis.com/envoy.{kind}"


def extension(kind: str, fields: Resource | None = None) -> Resource:
    """One of Envoy's extensions with its configuration; `kind` is its type without the prefix `envoy.extensions.`."""
    return {"name": f"envoy.{kind.rsplit('.', 2)[0]}", "typed_config": typed(f"extensions.{kind}", fields)}


def header(name: str, value: str) -> Resource:
    """A header that is set, whatever it was before."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def text_of(resource: Resource) -> str:
    """A resource as it stands in its file."""
    return json.dumps(resource, separators=(",", ":"))


def watched(path: Path) -> Resource:
    """A source of configuration: a file that Envoy reads again when another is renamed onto it."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"}


def milliseconds(span: int) -> str:
    """A time span as Envoy writes it."""
    return f"{span / 1000:.3f}s"
