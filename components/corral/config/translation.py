"""What pydantic found wrong, as sentences for the person who wrote the stack.

A message is a predicate on the value that stands there (`"60" is text: write 60 without quotes`).  A text is shown
only where it cannot be a credential: never in the place of a URL, of an environment variable's name or of a key's hash,
where people paste the key itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from corral.catalog.units import MISMATCHES
from corral.config.hosts import CLASSES
from corral.config.problems import Keys, Report, correction, flow, kind_of, nearest, shown
from corral.config.stack import Stack

_NEVER_SHOWN = frozenset({"url", "keyVariable", "keys", "jwks"})


def report_all(error: ValidationError, parts: Mapping[str, Any], report: Report) -> None:
    """Reports all of it.  `parts`: what was validated, by the stack's fields."""
    found = [(_spot(detail), detail) for detail in error.errors(include_url=False)]
    for spot, detail in found:
        if detail["type"] == "extra_forbidden":
            _report_unknown(spot, parts, report)
    for spot, detail in found:
        if detail["type"] != "extra_forbidden" and not report.is_void(spot.keys):
            report.add(spot.keys, _sentence(spot, detail))
    for spot, detail in found:
        if _is_of_key(detail):
            report.excuse(spot.keys)


class _Spot(NamedTuple):
    """A place in the schema."""

    keys: Keys
    annotation: Any
    """Of the value there; None below an unknown key."""
    field: FieldInfo | None
    """Where it is the value of a field."""
    around: Any
    """The annotation of the mapping or list it stands in."""


def _spot(detail: ErrorDetails) -> _Spot:
    """Pydantic's place: keys, among them the tags of unions, and at the end `[key]` where the key itself is meant."""
    keys: list[int | str] = []
    annotation, field, around = cast("Any", Stack), None, cast("Any", None)
    for step in detail["loc"][:-1] if _is_of_key(detail) else detail["loc"]:
        bare = _bare(annotation)
        if isinstance(step, str) and step in (members := _members(bare)):
            annotation = members[step]
        else:
            keys.append(f"corral:{step}" if not keys else step)
            around = bare
            annotation, field = _below(bare, step)
    return _Spot(tuple(keys), annotation, field, around)


def _is_of_key(detail: ErrorDetails) -> bool:
    return detail["loc"][-1:] == ("[key]",) and detail["type"] != "extra_forbidden"


def _bare(annotation: Any) -> Any:
    """Without metadata, and without the None of an optional field."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, UnionType):
        some = [member for member in get_args(annotation) if member is not NoneType]
        return _bare(some[0]) if len(some) == 1 else annotation
    return annotation


def _members(union: Any) -> dict[str, Any]:
    """The members of a tagged union by tag."""
    if get_origin(union) not in (Union, UnionType):
        return {}
    return {
        note.tag: member
        for member in get_args(union)
        for note in getattr(member, "__metadata__", ())
        if isinstance(note, Tag)
    }


def _below(annotation: Any, step: int | str) -> tuple[Any, FieldInfo | None]:
    if get_origin(annotation) in (dict, list):
        return get_args(annotation)[-1], None
    if field := _fields(annotation).get(str(step)):
        return field.annotation, field
    return None, None


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """A model's fields by the key they have in YAML."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in annotation.model_fields.items() if not field.exclude}


_RENAMED = {
    "weights": "modelWeights",
    "buy": "capacityType",
    "ejection": "ejectionTime",
    "keepRequests": "retentionDays",
    "logDays": "retentionDays",
}
"""Keys that 0.1 had, by what they are called since 0.2."""


def _report_unknown(spot: _Spot, parts: Mapping[str, Any], report: Report) -> None:
    """An unknown key.  The key that was probably meant is then not also said to be missing."""
    name, around = str(spot.keys[-1]), spot.keys[:-1]
    valid = _fields(spot.around)
    if (renamed := _RENAMED.get(name)) in valid:
        report.add(spot.keys, f"is called {renamed} since 0.2: write that instead")
        return
    near = nearest(name, valid)
    report.add(spot.keys, f"no such key{_elsewhere(name, spot) if near is None else correction(name, valid)}")
    if near and near not in _value(parts, around):
        report.excuse((*around, near))


_SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)


def _elsewhere(name: str, spot: _Spot) -> str:
    """Where a key belongs that is near no valid one."""
    if spot.keys[0] == "corral:hosts" and len(spot.keys) == 3:
        if kinds := [kind for kind, host in CLASSES.items() if name in _fields(host)]:
            return f" for a host of this kind: it belongs to {' and '.join(kinds)}"
        if _SECRET.search(name):
            return ": a host's key stands encrypted under corral:keys"
    return correction(name, _fields(spot.around))


def _value(parts: Mapping[str, Any], keys: Keys) -> Any:
    value: Any = parts
    for key in (str(keys[0]).removeprefix("corral:"), *keys[1:]) if keys else ():
        value = value[key]
    return value


def _sentence(spot: _Spot, detail: ErrorDetails) -> str:
    value, context = detail["input"], detail.get("ctx", {})
    is_shown = not (isinstance(value, str) and _NEVER_SHOWN.intersection(spot.keys[-2:]))
    subject = shown(value) if is_shown else "the value"
    example = f", for instance {flow(spot.field.examples[0])}" if spot.field and spot.field.examples else ""
    match detail["type"]:
        case "missing":
            return f"is missing{example}"
        case "string_type":
            quoted = ": put it in quotes" if isinstance(value, (bool, int, float)) else ""
            return f"must be text, not {subject}{quoted}"
        case "int_type":
            return _no_whole_number(value)
        case "bool_type":
            return f"{subject} is {kind_of(value)}: write true or false"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"must be a mapping{example}, not {kind_of(value)}{_set_as_text(value, '{')}"
        case "list_type":
            return f"must be a list{example}, not {kind_of(value)}{_set_as_text(value, '[')}"
        case "too_short":
            return f"must have at least one entry{example}"
        case "string_too_short":
            return "must not be empty"
        case "greater_than_equal":
            return f"{subject} is below {context['ge']}, the least there is"
        case "less_than_equal":
            return f"{subject} is above {context['le']}, the most there is"
        case "greater_than":
            return f"{subject} is not above {context['gt']}"
        case "string_pattern_mismatch":
            return f"{subject} {MISMATCHES[context['pattern']]}"
        case "literal_error":
            if value == "embedded" and spot.keys == ("corral:engine", "kind"):
                return '"embedded" is called local since 0.2: write kind: local'
            valid = re.findall(r"'([^']+)'", context["expected"])
            return f"{subject} is not valid{correction(value if isinstance(value, str) else '', valid)}"
        case "value_error":
            return f"{subject} {context['error']}"
        case "predicate":
            return f"{subject} {detail['msg']}"
        case _:
            return "is not valid here"


def _no_whole_number(value: object) -> str:
    if isinstance(value, str):
        if re.fullmatch(r"-?[0-9]{1,18}", value):
            return f"{shown(value)} is text: write {int(value)} without quotes"
        return f"{shown(value)} is not a whole number"
    if isinstance(value, (bool, int, float)):
        return f"{shown(value)} is not a whole number"
    return f"must be a whole number, not {kind_of(value)}"


def _set_as_text(value: object, opening: str) -> str:
    """`pulumi config set` without `--path` writes a whole object as text."""
    is_json = isinstance(value, str) and value.lstrip().startswith(opening)
    return ": set it with `pulumi config set --path`, or write it into the file without quotes" if is_json else ""
