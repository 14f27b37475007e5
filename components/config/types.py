"""The building blocks of the stack schema: how a name, an amount, a time and a price are written in YAML.

Everything is strict: `60` is a number, `"60"` is not, and a key nobody knows is refused.  YAML is camelCase, as in Pulumi
and Kubernetes; Python attributes are snake_case.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel


class Strict(BaseModel):
    """A part of the configuration: unknown keys are refused, nothing is coerced, nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


def _amount(units: dict[str, int], example: str):
    """A validator for `<number><unit>` amounts; a plain whole number is taken as it is."""
    pattern = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(re.escape(unit) for unit in units if unit)})?")

    def parse(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            amount = Decimal(value)
        elif isinstance(value, str) and (found := pattern.fullmatch(value)):
            amount = Decimal(found[1]) * units[found[2] or ""]
        else:
            raise ValueError(f"write it like {example}")
        if amount <= 0 or amount != amount.to_integral_value():
            raise ValueError(f"must be a whole number above 0, like {example}")
        return int(amount)

    return parse


def _day(value: Any) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("write the day like 2026-07-06") from None


def _micro_dollars(value: Any) -> int:
    """Dollars, as a person writes them, to whole micro-dollars."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("write dollars per million tokens, like 0.72")
    try:
        micro = Decimal(str(value)) * 1_000_000
    except InvalidOperation:
        raise ValueError("write dollars per million tokens, like 0.72") from None
    if not micro.is_finite() or micro < 0 or micro != micro.to_integral_value():
        raise ValueError("must be dollars per million tokens, 0 or more, to the millionth of a dollar at most")
    return int(micro)


_TEXT_OR_INTEGER = {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]}

Tokens = Annotated[
    int, BeforeValidator(_amount({"": 1, "k": 10**3, "M": 10**6, "B": 10**9}, "200k, 900M or 1.5B")),
    WithJsonSchema(_TEXT_OR_INTEGER | {"examples": ["200k", "900M"]}),
]
"""Tokens: `200k`, `900M`, `1.5B` or a whole number."""

Milliseconds = Annotated[
    int, BeforeValidator(_amount({"ms": 1, "s": 10**3, "m": 60 * 10**3, "h": 3600 * 10**3, "": 1}, "500ms, 30s or 5m")),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h)$", "examples": ["30s", "5m"]}),
]
"""A time span: `500ms`, `30s`, `5m`, `1h`; in Python whole milliseconds."""

Bytes = Annotated[
    int, BeforeValidator(_amount({"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}, "512Ki or 50Mi")),
    WithJsonSchema(_TEXT_OR_INTEGER | {"examples": ["50Mi"]}),
]
"""A size: `50Mi`; in Python bytes."""

Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A day: `2026-07-06`."""

MicroDollars = Annotated[
    int, BeforeValidator(_micro_dollars), WithJsonSchema({"type": ["number", "string"], "minimum": 0, "examples": [0.72]})
]
"""Dollars in YAML (`0.72`), whole micro-dollars in Python (`720_000`)."""

HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""A host's name in the stack: lower-case letters, digits and `-`, at most 40 characters."""

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
"""The name clients ask for: letters, digits and `. _ : / -`, at most 128 characters."""


class Price(Strict):
    """What a host charges, in dollars per million tokens."""

    input: MicroDollars
    """Per million tokens of the prompt."""
    output: MicroDollars
    """Per million tokens of the answer."""
