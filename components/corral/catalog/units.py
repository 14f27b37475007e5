"""The building blocks of the stack file and of the catalog's data: how an amount, a time, a day or a price is
written in YAML, and what a person reads whose value is none.

Everything is strict: `60` is a number, `"60"` is not, and a key nobody knows is refused.  YAML is camelCase, as in
Pulumi and Kubernetes; Python attributes are snake_case.  What a validator raises is a predicate, which is printed after
the value it is about: `"5 min" is not a time: …`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Exact(BaseModel):
    """Unknown keys are refused, nothing is coerced, nothing changes after loading, and errors never quote a value."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Strict(Exact):
    """A part of the configuration, in camelCase.

    Python code gives fields by their names; what is read from YAML is validated with `by_name=False`, keys only.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


def by_key(
    keys: Mapping[str, str], *, literals: Sequence[str] = (), otherwise: str | None = None, choices: str = ""
) -> Discriminator:
    """Tells the members of a union apart: `keys` has the tag of each key that only one of them has.

    Tags stand in angle brackets, which no name in a stack can hold: pydantic puts them into an error's place.  Of
    `literals` it is `<literal>`.  A person whose value is none of the members reads `choices`.
    """

    def tag(value: object) -> str | None:
        if isinstance(value, str) and value in literals:
            return "<literal>"
        return next((tag for key, tag in keys.items() if key in fields_of(value)), otherwise)

    if not choices:
        return Discriminator(tag)
    return Discriminator(tag, custom_error_type="predicate", custom_error_message=f"is none of: {choices}")


def fields_of(value: object) -> Mapping[str, Any]:
    """The fields of a part, be it as it stands in YAML or as it was read."""
    match value:
        case dict():
            return value  # pyright: ignore[reportUnknownVariableType]
        case Strict():
            return dict(value)
        case _:
            return {}


@dataclass(frozen=True)
class Amount:
    """A whole number, written as `<number><unit>`; one without a unit is a number in YAML."""

    noun: str
    units: tuple[tuple[str, int], ...]
    """From small to large."""
    examples: tuple[str, ...]

    def read(self, value: object) -> int:
        sizes = dict(self.units)
        pattern = rf"([0-9]{{1,15}}(?:\.[0-9]{{1,9}})?)({'|'.join(sizes)})"
        if "" in sizes and isinstance(value, int) and not isinstance(value, bool):
            amount = Fraction(value)
        elif isinstance(value, str) and (match := re.fullmatch(pattern, value)):
            amount = Fraction(match[1]) * sizes[match[2]]
        else:
            raise ValueError(f"is not {self.noun}: {self._way_out}")
        if amount <= 0 or amount.denominator != 1:
            raise ValueError(f"is not {self.noun} above 0 in whole units: {self._way_out}")
        return int(amount)

    @property
    def _way_out(self) -> str:
        *front, last = self.examples
        return f"write it like {', '.join(front)} or {last}"

    def written(self, amount: int) -> str:
        """In the largest unit that leaves a whole number."""
        unit, size = next((unit, size) for unit, size in reversed(self.units) if amount % size == 0)
        return f"{amount // size}{unit}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema, handler
        units = [unit for unit, _ in self.units]
        pattern = rf"^[0-9]{{1,15}}(\.[0-9]{{1,9}})?({'|'.join(units)})$"
        text = {"type": "string", "pattern": pattern, "examples": [*self.examples]}
        return {"anyOf": [text, {"type": "integer", "minimum": 1}]} if "" in units else text


Tokens = Annotated[
    int, Amount("a number of tokens", (("", 1), ("k", 10**3), ("M", 10**6), ("B", 10**9)), ("200k", "900M", "1.5B"))
]
MOST_A_MINUTE = 10**9
"""Requests or tokens; what either engine counts with has 32 bits."""

Requests = Annotated[int, Field(gt=0, le=MOST_A_MINUTE)]
TokensAMinute = Annotated[Tokens, Field(le=MOST_A_MINUTE)]

Milliseconds = Annotated[
    int, Amount("a time", (("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)), ("500ms", "30s", "5m"))
]
Bytes = Annotated[int, Amount("a size", (("", 1), ("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30)), ("512Ki", "50Mi"))]

_WRITTEN_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T00:00:00Z)?")


def _day(value: object) -> date:
    """A day as text; Pulumi makes `2026-07-06T00:00:00Z` of a day without quotes."""
    if type(value) is date:
        return value
    try:
        if isinstance(value, str) and (match := _WRITTEN_DAY.fullmatch(value)):
            return date.fromisoformat(match[1])
    except ValueError:
        pass
    raise ValueError("is not a day: write it like 2026-07-06")


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]

_WRITTEN_DOLLARS = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")


def _micro_dollars(value: object) -> int:
    """Dollars, as a person writes them, to whole micro-dollars."""
    if isinstance(value, int) and not isinstance(value, bool):
        dollars = Fraction(value)
    elif isinstance(value, float) and isfinite(value):
        dollars = Fraction(str(value))
    elif isinstance(value, str) and _WRITTEN_DOLLARS.fullmatch(value):
        dollars = Fraction(value)
    else:
        raise ValueError("is not a price: write dollars, like 0.72")
    if not 0 <= dollars < 1_000_000:
        raise ValueError("is not a price from 0 up to a million dollars")
    micro = dollars * 1_000_000
    if micro.denominator != 1:
        raise ValueError("is finer than a millionth of a dollar, the finest there is")
    return int(micro)


MicroDollars = Annotated[
    int,
    BeforeValidator(_micro_dollars),
    WithJsonSchema(
        {"type": ["number", "string"], "minimum": 0, "pattern": f"^{_WRITTEN_DOLLARS.pattern}$", "examples": [0.72]}
    ),
]
"""Dollars in YAML (`0.72`), whole micro-dollars in Python (`720_000`)."""

_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The numbers that the AWS provider has for `retention_in_days` of a log group (pulumi-aws, `LogGroup`)."""


def _retention_days(days: int) -> int:
    if days not in _RETENTION_DAYS:
        near = min(_RETENTION_DAYS, key=lambda allowed: abs(allowed - days))
        allowed = ", ".join(map(str, _RETENTION_DAYS))
        raise ValueError(
            f"is not a number of days for which CloudWatch keeps logs: take {near}, the nearest of {allowed}"
        )
    return days


RetentionDays = Annotated[
    int, AfterValidator(_retention_days), Field(json_schema_extra={"enum": [*_RETENTION_DAYS]}, examples=[30])
]
"""Days for which CloudWatch can keep a log."""

Text = Annotated[str, Field(min_length=1)]

Residency = list[Text]
"""Places (`us`, `eu`) or single regions (`us-east-1`) in which a request may be processed; nowhere else."""


class Price(Strict):
    """The price a host asks, in dollars per million tokens."""

    input: MicroDollars
    """The dollars for a million tokens of the prompt, like 0.72."""
    output: MicroDollars
    """The dollars for a million tokens of the answer, like 0.72."""
    cached_input: MicroDollars | None = None
    """The dollars for a million tokens of the prompt that the host has kept from one before, like 0.36; they cost what
    `input` says where nothing is said."""


Auth = Literal["bearer", "api-key", "aws", "entra", "none"]
"""The form in which a host takes its credential: `Authorization: Bearer`, `api-key:`, AWS credentials, or none."""


class Restricted(Strict):
    """The model is served, but not to everybody."""

    restricted: Text
    """The customers that are served, or the condition for it."""


class Retired(Strict):
    """The model is gone, or announced to go."""

    retired: Day
    """The last day on which the model is served, like 2026-07-06; it may lie in the future."""


Lifecycle = Annotated[
    Annotated[Literal["available"], Tag("<literal>")]
    | Annotated[Restricted, Tag("<restricted>")]
    | Annotated[Retired, Tag("<retired>")],
    by_key(
        {"retired": "<retired>", "restricted": "<restricted>"},
        literals=["available"],
        choices="available, {restricted: <to whom>}, {retired: <the last day>}",
    ),
]
