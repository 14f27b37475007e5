from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from corral.simulated.instances import instance


class Unit(Enum):
    CELSIUS = "C"


class Node(BaseModel):
    name: Annotated[str, Field(min_length=9)]
    next: Node | None
    children: list[Node]


class Weather(BaseModel):
    """What applications declare: every kind of field that OpenAI's structured outputs take."""

    city: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d+$")]
    unit: Unit
    day: date
    kind: Literal["forecast", "past"]
    degrees: Annotated[float, Field(gt=-1, lt=0)]
    hours: Annotated[int, Field(ge=5, multiple_of=4)]
    below: Annotated[int, Field(le=-3)]
    sources: Annotated[list[Node], Field(min_length=2)]
    place: tuple[float, float]
    wind: dict[str, int] | str
    sure: bool


def test_an_answer_fits_what_an_application_declares():
    value = instance(Weather.model_json_schema())
    assert Weather.model_validate(value).model_dump(mode="json") == value
    assert (value["hours"], value["below"], value["degrees"]) == (8, -3, -0.5)


@pytest.mark.parametrize(
    ("schema", "want"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, {"a": "text"}),
        ({"properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}, {"a": None}),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["a"]}]}, {"a": 1}),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"enum": ["x", "y"]}}}, "x"),
        ({"oneOf": [{"items": {"type": "boolean"}, "minItems": 1}, {"type": "string"}]}, [False]),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "string", "format": "uuid"}, "00000000-0000-4000-8000-000000000000"),
        ({"type": "number", "exclusiveMinimum": 0}, 1),
        ({"type": "object"}, {}),
    ],
)
def test_the_value_is_small_and_fits(schema: dict[str, Any], want: Any):
    value = instance(schema)
    jsonschema.validate(value, schema)
    assert value == want


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ([], "a JSON Schema is an object"),
        ({"$ref": "#"}, "needs itself"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "needs itself"),
        ({"$ref": "#/$defs/a"}, r"there is no #/\$defs/a in the JSON Schema"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no number fits"),
        ({"type": "text"}, "'text' is no type"),
        ({"properties": [], "required": ["a"]}, "this is no JSON Schema"),
        ({"pattern": "("}, "this is no JSON Schema"),
    ],
)
def test_a_schema_that_no_value_fits_is_refused(schema: Any, why: str):
    with pytest.raises(ValueError, match=why):
        instance(schema)
