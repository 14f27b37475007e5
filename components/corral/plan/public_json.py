"""Our own values as plain data for programs: `--json` of every verb, and the hash of a plan.

Policy.  Fields of dataclasses are spelled in camelCase, as in the stack file; keys of a mapping are names of hosts and
models, and stay what they are.  What is unknown is null and never left out.  A set is a sorted list, a day or a moment
is text: `2026-07-06`, `2026-07-06T12:00:00+00:00`.  The same value gives the same bytes on every machine and in every
run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any, ClassVar, Protocol, cast

from pydantic.alias_generators import to_camel

from corral.catalog.catalog import Takes
from corral.plan.plan import Plan

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def to_json(value: object) -> Json:
    """The value in JSON's types.  Raises TypeError for what is none of ours."""
    match value:
        case None | str() | int() | float():
            return value
        case datetime():
            return value.isoformat(timespec="seconds")
        case date():
            return value.isoformat()
        case tuple() | list():
            return [to_json(each) for each in cast("tuple[object, ...]", value)]
        case set() | frozenset():
            return [*sorted(cast("frozenset[str]", value))]
        case Takes():
            return {to_camel(name): getattr(value, name) for name in Takes.model_fields}
        case Mapping():
            return {name: to_json(each) for name, each in cast("Mapping[str, object]", value).items()}
        case _ if is_dataclass(value):
            return object_json(cast("_Dataclass", value))
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")


def object_json(value: _Dataclass) -> dict[str, Json]:
    """The fields of a dataclass, as `to_json` has them, without those that say they are not public."""
    public = [field.name for field in fields(value) if field.metadata.get("public", True)]
    return {to_camel(name): to_json(getattr(value, name)) for name in public}


def content_hash(plan: Plan) -> str:
    """SHA-256 in hexadecimal of the whole plan: it changes with anything the plan says, and with nothing else."""
    canonical = json.dumps(to_json(plan), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(canonical.encode()).hexdigest()
