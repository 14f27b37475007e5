"""The JSON Schema of a stack file, for editors: the whole file, with what each key means and its default.

It has what can be said of each key by itself: which there are, types, patterns, kinds, places.  That shares sum to 100,
that a host is declared, only `read_stack` can tell.  It refuses nothing that `read_stack` takes.

The meaning of a key is the text under its attribute.  Python keeps no such text, so it is read from the source.
Pydantic would do it for every class at every start, where it takes longer than all else about them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from inspect import getsource
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DictSchema, ModelSchema, NullableSchema, WithDefaultSchema

from corral.catalog.catalog import Catalog
from corral.catalog.units import Amount, Strict
from corral.config.hosts import CLASSES, OPENAI, HostedHost
from corral.config.problems import flow
from corral.config.read import kinds
from corral.config.relations import NEEDED
from corral.config.stack import Stack
from corral.config.stack_file import NAMESPACE, PARTS, PULUMIS_OWN, REGION


def docstrings(part: type[Strict]) -> dict[str, str]:
    """The text under each attribute; what the part inherits comes first."""
    texts: dict[str, str] = {}
    for each in reversed(part.__mro__):
        definition = ast.parse(getsource(each)).body[0] if issubclass(each, Strict) else None
        for statement, below in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
            match statement, below:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    texts[name] = " ".join(text.split())
                case _:
                    pass
    return texts


_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NEEDED: dict[str, Any] = {"required": list(NEEDED), "properties": {"models": {"minProperties": 1}}}
"""The keys that an OpenAI-compatible host needs."""

_EXAMPLE = {
    "config": {
        "corral:hosts": {"bedrock": {"region": "us-east-1"}, "deepinfra": {}},
        "corral:models": {"llama-3.3-70b": {"shares": {"bedrock": 100}, "fallback": ["deepinfra"]}},
    }
}


def json_schema(catalog: Catalog) -> dict[str, Any]:
    """Draft 2020-12, with the catalog's kinds, models and places spelled out."""
    stack = Stack.model_json_schema(schema_generator=_Written)
    parts: dict[str, Any] = {part: stack["properties"][part] for part in PARTS}
    definitions: dict[str, Any] = stack["$defs"]
    _spell_out_kinds(definitions, catalog)
    parts["hosts"] |= {
        "properties": {name: _host_by_name(name, catalog) for name in catalog.hosts},
        "additionalProperties": {"$ref": "#/$defs/Host"},
    }
    parts["models"]["properties"] = {
        name: {"description": f"A model of the catalog: {family.title}.", "$ref": "#/$defs/Model"}
        for name, family in catalog.models.items()
    }
    places = {"enum": sorted({*catalog.places, *catalog.places.values()})}
    for part in (stack, definitions["Model"], definitions["Tenant"]):
        part["properties"]["residency"]["items"] = places
    config: dict[str, Any] = {
        "type": "object",
        "properties": {f"{NAMESPACE}:{part}": schema for part, schema in parts.items()}
        | {REGION: {"type": "string", "description": "The AWS region of hosts and of a cluster that name none."}},
        "patternProperties": {f"^(?!{NAMESPACE}:)[^:]+:": True},
        "required": [f"{NAMESPACE}:{part}" for part in PARTS if part in stack["required"]],
        "additionalProperties": False,
    }
    return {
        "$schema": _DIALECT,
        "title": "Corral stack",
        "description": "One environment: its Llama models, the hosts that serve them, and the share of each host.",
        "type": "object",
        "properties": {"config": config} | dict.fromkeys(PULUMIS_OWN, True),
        "required": ["config"],
        "additionalProperties": False,
        "examples": [_EXAMPLE],
        "$defs": definitions,
    }


class _Written(GenerateJsonSchema):
    """Each part as a stack has it: with the text under each attribute, and its default in the unit it is written in.

    No null (a key without a value is refused), no titles, no key of a mapping beside those that match its pattern.
    """

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        written, part = super().model_schema(schema), schema["cls"]
        texts = docstrings(part)
        for name, field in part.model_fields.items():
            key, default = written["properties"][field.alias], field.default
            amount = next((note for note in field.metadata if isinstance(note, Amount)), None)
            if isinstance(default, (str, int)):
                key["default"] = amount.written(default) if amount and isinstance(default, int) else default
            if name in texts:
                key["description"] = texts[name] + default_sentence(key)
        del written["title"]
        return written | {"description": " ".join(written["description"].split())}

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        written = super().dict_schema(schema)
        for pattern, value in written.pop("patternProperties", {}).items():
            written |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
        return written

    def nullable_schema(self, schema: NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False


def default_sentence(key: Mapping[str, Any]) -> str:
    """The end of the description of a key that has a default."""
    return f" The default is `{flow(key['default'])}`." if "default" in key else ""


def _spell_out_kinds(definitions: dict[str, Any], catalog: Catalog) -> None:
    """Adds `Host`, which says its kind, to the definitions; in those of single kinds it may be left out."""
    hosted = [kind for kind in kinds(catalog) if kind not in CLASSES]
    for host in (*CLASSES.values(), HostedHost):
        definitions[host.__name__].pop("required")
    definitions["HostedHost"]["properties"]["kind"]["enum"] = hosted
    definitions["Host"] = {
        "type": "object",
        "properties": {
            "kind": {"enum": [*kinds(catalog)], "description": "The kind of the host: its keys depend on it."},
        },
        "required": ["kind"],
        "allOf": [
            *(_if_kind({"const": kind}, {"$ref": f"#/$defs/{host.__name__}"}) for kind, host in CLASSES.items()),
            _if_kind({"enum": hosted}, {"$ref": "#/$defs/HostedHost"}),
            _if_kind({"const": OPENAI}, _NEEDED),
        ],
    }


def _if_kind(kind: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {"kind": kind}, "required": ["kind"]}, "then": then}


def _host_by_name(name: str, catalog: Catalog) -> dict[str, Any]:
    """A host called as its entry in the catalog: its kind may be left out, or be another one."""
    own = {"$ref": f"#/$defs/{CLASSES.get(name, HostedHost).__name__}"}
    return {
        "description": f"A host of the catalog: {catalog.hosts[name].title}.",
        "if": {"required": ["kind"]},
        "then": {"$ref": "#/$defs/Host"},
        "else": own | _NEEDED if name == OPENAI else own,
    }
