"""From plain values to a typed stack, and what pydantic finds wrong on the way, as sentences for the one who wrote it.

A message is a predicate on the value that stands there (`"60" is text: write 60 without quotes`).  A text is shown
only where it cannot be a credential: never in the place of a URL, of an environment variable's name or of a key's hash,
where people paste the key itself.

What is wrong is then left out where it may be, and else replaced by the example that the schema has for it, so that
relations between the other parts can still be checked on a typed stack.  Such a place is void in the report.
"""

from __future__ import annotations

import re
from copy import deepcopy
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from corral.config.hosts import CLASSES
from corral.config.problems import HOSTS, Keys, Report, Value, correction, flow, kind_of, nearest, shown
from corral.config.stack import Stack

_NEVER_SHOWN = frozenset({"url", "keyVariable", "keys", "jwks"})


def validated(values: dict[str, Value], report: Report) -> Stack:
    """The stack of these values, by its fields, with stand-ins for what is wrong, all of which is reported.

    Changes the values where they are wrong.
    """
    replaced: set[Keys] = set()
    while True:
        try:
            return Stack.model_validate(values, by_alias=True, by_name=False)
        except ValidationError as error:
            details = [(_places(detail), detail) for detail in error.errors(include_url=False)]
        if not replaced:
            _report_all(details, values, report)
        changed: set[Keys] = set()
        for places, detail in details:
            if not any(place.keys in changed for place in places):
                changed.add(_replace(places, detail, values, replaced))
        replaced |= changed
        for keys in changed:
            report.excuse(keys)


def report_problems(error: ValidationError, part: type[BaseModel], report: Report) -> None:
    """What is wrong with a part that is no stack, and stands in a file of its own."""
    for detail in error.errors(include_url=False):
        place = _places(detail, part)[-1]
        if detail["type"] == "extra_forbidden":
            report.add(place.keys, f"no such key{correction(str(place.keys[-1]), _fields(place.around))}")
        else:
            report.add(place.keys, _sentence(place, detail))


class _Place(NamedTuple):
    """A place in the schema."""

    keys: Keys
    field: FieldInfo | None
    """None of an item or an entry, and of an unknown key."""
    around: Any
    """The annotation of the part, mapping or list that it stands in."""
    example: Value
    """A value that may stand here; None where the schema has none."""


_Details = list[tuple[list[_Place], ErrorDetails]]
"""Pydantic's errors, each with the places from the top of the stack down to the wrong one."""


def _report_all(details: _Details, values: dict[str, Value], report: Report) -> None:
    """A key that is misspelled is reported first, since the key that was meant is then not missing."""
    for places, detail in details:
        if detail["type"] == "extra_forbidden":
            _report_unknown(places[-1], values, report)
    for places, detail in details:
        if detail["type"] != "extra_forbidden":
            report.relate(places[-1].keys, _sentence(places[-1], detail))


def _replace(places: list[_Place], detail: ErrorDetails, values: dict[str, Value], replaced: set[Keys]) -> Keys:
    """Leaves the wrong value out, or puts the example in its place; where there is none, so for what is around it."""
    is_unwanted = detail["type"] == "extra_forbidden" or _is_of_key(detail)
    for place in reversed(places):
        around, key = _value(values, place.keys[:-1]), _steps(place.keys)[-1]
        is_entry = get_origin(place.around) is dict
        if is_unwanted or (place.field and not place.field.is_required()):
            del around[key]
        elif place.example is not None and place.keys not in replaced:
            around[key] = deepcopy(place.example)
        elif is_entry:
            del around[key]
        else:
            continue
        return place.keys
    raise AssertionError(f"no example in the schema for {detail['loc']}")


def _places(detail: ErrorDetails, part: type[BaseModel] = Stack) -> list[_Place]:
    """Pydantic has the tags of unions among the keys, and at the end `[key]` where the key itself is wrong."""
    places: list[_Place] = []
    keys, annotation, example = cast("Keys", ()), cast("Any", part), cast("Value", None)
    first = "corral:" if part is Stack else ""
    for step in detail["loc"][:-1] if _is_of_key(detail) else detail["loc"]:
        around = _bare(annotation)
        if isinstance(step, str) and step in (members := _members(around)):
            annotation = members[step]
        else:
            keys = (*keys, step) if keys else (f"{first}{step}",)
            annotation, field, example = _below(around, step, example)
            places.append(_Place(keys, field, around, example))
    return places


def _is_of_key(detail: ErrorDetails) -> bool:
    return detail["loc"][-1:] == ("[key]",) and detail["input"] == detail["loc"][-2]


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


def _below(around: Any, step: int | str, example: Value) -> tuple[Any, FieldInfo | None, Value]:
    """The annotation, the field and an example one step below; `example` is that of what is around."""
    if get_origin(around) in (dict, list):
        items = list(example.values()) if isinstance(example, dict) else example
        return get_args(around)[-1], None, items[0] if isinstance(items, list) and items else None
    if (field := _fields(around).get(str(step))) is None:
        return None, None, None
    inherited = example.get(str(step)) if isinstance(example, dict) else None
    return field.annotation, field, field.examples[0] if field.examples else inherited


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


def _report_unknown(place: _Place, values: dict[str, Value], report: Report) -> None:
    """An unknown key.  The key that was probably meant is then not also said to be missing."""
    name, around = str(place.keys[-1]), place.keys[:-1]
    valid = _fields(place.around)
    if (renamed := _RENAMED.get(name)) in valid:
        report.add(place.keys, f"is called {renamed} since 0.2: write that instead")
        return
    parent = str(around[-1]) if around else ""
    whole = f'{".".join(map(str, around[:-1]))}["{parent}.{name}"]'
    if name[:1].isdigit() and parent[-1:].isdigit() and whole.isprintable():
        report.add(
            place.keys, f"no such key: a name with a dot stands in quotes: `pulumi config set --path '{whole}…'`"
        )
        report.excuse(around)
        return
    near = nearest(name, valid)
    report.add(place.keys, f"no such key{_elsewhere(name, place) if near is None else correction(name, valid)}")
    if near and near not in _value(values, around):
        report.excuse((*around, near))


_SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)


def _elsewhere(name: str, place: _Place) -> str:
    """Where a key belongs that is near no valid one."""
    if place.keys[0] == HOSTS and len(place.keys) == 3:
        if kinds := [kind for kind, host in CLASSES.items() if name in _fields(host)]:
            return f" for a host of this kind: it belongs to {' and '.join(kinds)}"
        if _SECRET.search(name):
            return ": a host's key stands encrypted under corral:keys"
    return correction(name, _fields(place.around))


def _value(values: dict[str, Value], keys: Keys) -> Any:
    value: Any = values
    for key in _steps(keys):
        value = value[key]
    return value


def _steps(keys: Keys) -> Keys:
    """The keys within the stack's fields."""
    return (str(keys[0]).removeprefix("corral:"), *keys[1:]) if keys else ()


def _sentence(place: _Place, detail: ErrorDetails) -> str:
    value, context = detail["input"], detail.get("ctx", {})
    is_shown = not (isinstance(value, str) and _NEVER_SHOWN.intersection(place.keys[-2:]))
    subject = shown(value) if is_shown else "the value"
    example = f", for instance {flow(place.field.examples[0])}" if place.field and place.field.examples else ""
    match detail["type"]:
        case "missing":
            return f"is missing{example}"
        case "string_type":
            quoted = ": put it in quotes" if isinstance(value, (bool, int, float)) else ""
            return f"must be text, not {subject}{quoted}"
        case "int_type" if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            return f"{subject} is text: write {int(value)} without quotes"
        case "int_type" if isinstance(value, (str, bool, int, float)):
            return f"{subject} is not a whole number"
        case "int_type":
            return f"must be a whole number, not {kind_of(value)}"
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
        case "literal_error":
            if value == "embedded" and place.keys == ("corral:engine", "kind"):
                return '"embedded" is called local since 0.2: write kind: local'
            valid = re.findall(r"'([^']+)'", context["expected"])
            return f"{subject} is not valid{correction(value if isinstance(value, str) else '', valid)}"
        case "value_error":
            return f"{subject} {context['error']}"
        case "predicate":
            return f"{subject} {detail['msg']}"
        case _:
            return "is not valid here"


def _set_as_text(value: object, opening: str) -> str:
    """`pulumi config set` without `--path` writes a whole object as text."""
    is_json = isinstance(value, str) and value.lstrip().startswith(opening)
    return ": set it with `pulumi config set --path`, or write it into the file without quotes" if is_json else ""
