"""Ramps: a move of shares in steps, and what holds it or takes it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from corral.catalog.patterns import HostName
from corral.catalog.units import Amount, Milliseconds, Requests, Strict, Text

_PERCENT = (("%", 100),)
"""In hundredths of a percent."""

Percent = Annotated[int, Amount("a percentage", _PERCENT, ("1%", "0.5%"))]


@dataclass(frozen=True)
class _More(Amount):
    """An increase, which may have a plus in front."""

    def read(self, value: object) -> int:
        return super().read(value.removeprefix("+") if isinstance(value, str) else value)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        text = super().__get_pydantic_json_schema__(schema, handler)
        return {**text, "pattern": text["pattern"].replace("^", r"^\+?", 1)}


MorePercent = Annotated[int, _More("an increase", _PERCENT, ("+5%", "+0.5%"))]

Shares = Annotated[dict[HostName, Annotated[int, Field(ge=0, le=100)]], Field(min_length=1)]


class Guard(Strict):
    """The conditions, about the hosts whose shares a ramp raises, for which it goes back."""

    errors: Percent = 100
    """The part of the attempts at such a host that may fail, like `1%`, which is the default.  A host that is ejected
    has failed."""
    first_byte_p95: Milliseconds | None = Field(default=None, examples=["2s"])
    """The time within which 95 of 100 answers of such a host are to begin, like `2s`; by default any."""
    cost_per_million: MorePercent | None = Field(default=None, examples=["+5%"])
    """The part by which a million tokens may cost more than at the shares where the ramp began, like `+5%`; by default
    any."""


class Ramp(Strict):
    """A move of one model's shares in steps, which `corral ramp` makes, and takes back."""

    to: Annotated[Shares, Field(examples=[{"vllm": 40}])]
    """The percentages that these hosts end at.  The other hosts of the model's `shares` have the rest, in proportion to
    the shares at which the ramp began."""
    start: Shares | None = Field(default=None, alias="from", examples=[{"bedrock": 100, "vllm": 0}])
    """The shares at which the ramp began.  `corral ramp` writes them with its first step; by default the model's."""
    step: Annotated[int, Field(ge=1, le=100)] = 10
    """The points of the traffic that move in one step, 10 where nothing is said."""
    every: Milliseconds = 900_000
    """The time that shares are in force at least before the next step, like `15m`, which is the default."""
    guard: Guard = Field(default=Guard(), examples=[{"errors": "1%", "firstByteP95": "2s", "costPerMillion": "+5%"}])
    """The conditions for which it goes back."""
    least: Requests = 200
    """The requests that each host whose share rises must have had since the last step before the next one, 200 where
    nothing is said."""
    paused: Text | None = Field(default=None, examples=["vllm is moved to other nodes on Friday"])
    """The reason for which it takes no step but back.  `corral ramp` writes it when it goes back: take it out, and the
    ramp goes on."""
