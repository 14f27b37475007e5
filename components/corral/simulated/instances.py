"""A small JSON value that fits a JSON Schema, the same each time: what a stand-in answers where JSON is asked for.

Followed are `$ref` within the schema, `const`, `enum`, `anyOf`, `oneOf`, `allOf`, types, the required properties of
objects, the least length of arrays and texts, patterns, the bounds and multiples of numbers, and the formats below.
Conditions (`if`, `not`, `dependentSchemas`), and lengths of a text that has a pattern, are not.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from rstr import Rstr

Schema = Mapping[str, Any]

_DEPTH: Final = 40
"""Levels of an instance; a schema that needs more needs itself."""

_FORMATS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "user@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
"""A text for each format that OpenAI's structured outputs take, and for URIs."""


def instance(schema: object) -> Any:
    """The value.  Raises ValueError where the schema is none, or has only values without an end."""
    try:
        return _instance(schema, schema, _DEPTH)
    except (AttributeError, TypeError, re.error) as why:
        raise ValueError(f"this is no JSON Schema: {why}") from why


def _instance(schema: object, root: object, depth: int) -> Any:
    if schema is True:
        return "text"
    if not isinstance(schema, Mapping):
        raise ValueError("a JSON Schema is an object")
    if not depth:
        raise ValueError("the JSON Schema needs itself without an end")
    rules = _resolved(cast("Schema", schema), root)
    if "const" in rules:
        return rules["const"]
    if options := rules.get("enum"):
        return options[0]
    if alternatives := [*rules.get("anyOf", ()), *rules.get("oneOf", ())]:
        rest = {key: rule for key, rule in rules.items() if key not in ("anyOf", "oneOf")}
        least = next((each for each in alternatives if _type(each) == "null"), alternatives[0])
        return _instance(_joined([rest, _resolved(least, root)]), root, depth - 1)
    match _type(rules):
        case "null":
            return None
        case "boolean":
            return False
        case "integer" | "number" as kind:
            return _number(rules, whole=kind == "integer")
        case "string":
            return _text(rules)
        case "array":
            first = rules.get("prefixItems", ())
            rest = [rules.get("items", {"type": "string"})] * (rules.get("minItems", 0) - len(first))
            return [_instance(each, root, depth - 1) for each in (*first, *rest)]
        case "object":
            properties = rules.get("properties", {})
            needed = rules.get("required", ())
            return {name: _instance(properties.get(name, True), root, depth - 1) for name in needed}
        case other:
            raise ValueError(f"{other!r} is no type of a JSON Schema")


def _resolved(schema: Schema, root: object) -> Schema:
    """The schema with what its `$ref` names and the parts of its `allOf` in it."""
    for _ in range(_DEPTH):
        if "$ref" in schema:
            rest = {key: rule for key, rule in schema.items() if key != "$ref"}
            schema = _joined([_named(schema["$ref"], root), rest])
        elif "allOf" in schema:
            rest = {key: rule for key, rule in schema.items() if key != "allOf"}
            schema = _joined([*(_resolved(part, root) for part in schema["allOf"]), rest])
        else:
            return schema
    raise ValueError("the JSON Schema needs itself without an end")


def _named(reference: str, root: object) -> Schema:
    at: Any = root
    for name in reference.removeprefix("#").split("/")[1:]:
        at = at.get(name.replace("~1", "/").replace("~0", "~")) if at else None
    if not reference.startswith("#") or not at:
        raise ValueError(f"there is no {reference} in the JSON Schema")
    return at


def _joined(parts: Iterable[Schema]) -> Schema:
    """What fits all of them."""
    joined: dict[str, Any] = {}
    for part in parts:
        for key, rule in part.items():
            if key == "properties":
                rule = {**joined.get(key, {}), **rule}
            elif key == "required":
                rule = [*joined.get(key, ()), *rule]
            joined[key] = rule
    return joined


def _type(schema: object) -> str:
    """Its type; of several `null`, else the first; where it names none, the one that its other rules speak of."""
    rules: Schema = cast("Schema", schema) if isinstance(schema, Mapping) else {}
    kind = rules.get("type")
    if isinstance(kind, list):
        kinds = cast("list[str]", kind)
        return "null" if "null" in kinds else kinds[0]
    if kind is not None:
        return str(kind)
    spoken_of = {"items": "array", "prefixItems": "array", "minimum": "number", "pattern": "string"}
    return next((kind for rule, kind in spoken_of.items() if rule in rules), "object")


def _text(rules: Schema) -> str:
    if pattern := rules.get("pattern"):
        return Rstr(random.Random(0)).xeger(pattern)  # noqa: S311
    text = _FORMATS.get(rules.get("format", ""), "text")
    return text.ljust(rules.get("minLength", 0), "x")[: rules.get("maxLength")]


def _number(rules: Schema, *, whole: bool) -> float:
    """0 where it fits, else a number near one of the bounds."""
    low, high = rules.get("minimum", -math.inf), rules.get("maximum", math.inf)
    above, below = rules.get("exclusiveMinimum", -math.inf), rules.get("exclusiveMaximum", math.inf)
    step = rules.get("multipleOf", 1)
    bounds = [bound for bound in (low, high, above, below) if math.isfinite(bound)]
    candidates = [0, *((math.floor(bound / step) + more) * step for bound in bounds for more in (0, 1, -1))]
    if not whole and "multipleOf" not in rules:
        candidates += [*bounds, sum(bounds) / max(len(bounds), 1)]
    fitting = (number for number in candidates if low <= number <= high and above < number < below)
    try:
        return next(fitting)
    except StopIteration:
        raise ValueError("no number fits the JSON Schema") from None
