"""A report as JSON.  Keys as everywhere in camelCase; names of hosts and models stay what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from pydantic.alias_generators import to_camel

from components.drill.report import Report

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def to_json(report: Report) -> dict[str, Json]:
    """All of the report."""
    return {to_camel(field.name): _value(getattr(report, field.name)) for field in fields(report)}


def _value(value: Any) -> Json:
    if is_dataclass(value):
        return {to_camel(field.name): _value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _value(each) for name, each in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, tuple):
        return [_value(each) for each in cast("tuple[Any, ...]", value)]
    return value
