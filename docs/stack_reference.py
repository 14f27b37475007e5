"""Makes docs/stack.md, the reference of the stack file, from the schema: `python -m docs.stack_reference`.

What a key means, what it holds and what it is where it is left out stands in the code (components/corral/config) and
nowhere else; this only lays it out.  A test keeps the file up to date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from corral.catalog.load import load_catalog
from corral.config.hosts import CLASSES, HostedHost
from corral.config.problems import flow
from corral.config.schema import default_sentence, json_schema

FILE = Path(__file__).parent / "stack.md"

INTRODUCTION = """\
# The stack file

`stacks/Pulumi.<stack>.yaml` declares one environment. Under `config` stand Corral's keys, which begin with `corral:`,
beside those of Pulumi's providers (`aws:region`). Keys that are not listed here are refused, with the nearest valid
one; so is a value of another type: `60` is a number, `"60"` is not. Numbers with a unit are written as one word: times
`500ms` `30s` `2m` `1h`, sizes `64Ki` `50Mi` `1Gi`, tokens `200k` `900M` `2B`.

Editors check and complete the file with `stacks/schema.json`, which `corral schema` writes.

This page is made from the schema by `python -m docs.stack_reference`.
"""

HOSTS = [*(host.__name__ for host in CLASSES.values()), HostedHost.__name__]
ANY_HOST = "Any host"

Schema = dict[str, Any]


def reference(schema: Schema) -> str:
    """The page."""
    definitions: dict[str, Schema] = schema["$defs"]
    parts: dict[str, Schema] = schema["properties"]["config"]["properties"]
    required: list[str] = schema["properties"]["config"]["required"]
    written: set[str] = {"Host"}
    lines = [INTRODUCTION]
    for name, part in parts.items():
        lines += [f"## {name}\n", part["description"] + (" Required." if name in required else "") + "\n"]
        lines += [f"```yaml\n{name}: {flow(example)}\n```\n" for example in part.get("examples", [])]
        if name == "corral:hosts":
            lines += [f"Each host holds the keys of [{ANY_HOST.lower()}](#any-host) and those of its kind.\n"]
            lines += list(any_host(definitions))
            lines += [section for host in HOSTS for section in sections(host, definitions, written)]
            lines += list(deeper(definitions[ANY_HOST], definitions, written))
        elif "$ref" in part:
            written.add(referred(part))
            lines += [table(referred(part), definitions), *deeper(definitions[referred(part)], definitions, written)]
        else:
            lines += [f"It holds: {holds(part)}.\n", *deeper(part, definitions, written)]
    return "\n".join(lines)


def any_host(definitions: dict[str, Schema]) -> Iterator[str]:
    """The keys that all kinds share; they are taken out of the kinds' own tables."""
    first, *others = (definitions[name]["properties"] for name in HOSTS)
    shared = [key for key in first if key != "kind" and all(first[key] == other.get(key) for other in others)]
    definitions[ANY_HOST] = {"properties": {key: first[key] for key in shared}}
    yield f"### {ANY_HOST}\n"
    yield table(ANY_HOST, definitions)
    for name in HOSTS:
        properties = definitions[name]["properties"]
        definitions[name] = definitions[name] | {
            "properties": {key: value for key, value in properties.items() if key not in shared}
        }


def sections(name: str, definitions: dict[str, Schema], written: set[str]) -> Iterator[str]:
    """One part of the file, and the parts it holds."""
    if name in written:
        return
    written.add(name)
    yield f"### {name}\n"
    yield definitions[name]["description"] + "\n"
    if definitions[name]["properties"]:
        yield table(name, definitions)
    else:
        yield "It has no keys: write `{}`.\n"
    yield from deeper(definitions[name], definitions, written)


def deeper(schema: Schema, definitions: dict[str, Schema], written: set[str]) -> Iterator[str]:
    """The parts that a schema refers to and that were not written yet, in the order of their names in it."""
    for name in re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)):
        yield from sections(name, definitions, written)


def table(name: str, definitions: dict[str, Schema]) -> str:
    """The keys of a part: what each holds, what it is where it is left out, and what it means."""
    definition = definitions[name]
    rows = ["| Key | Holds | Left out | Meaning |", "| --- | --- | --- | --- |"]
    for key, schema in definition["properties"].items():
        default = f"`{flow(schema['default'])}`" if "default" in schema else "–"
        left_out = "required" if key in definition.get("required", []) else default
        meaning = schema["description"].removesuffix(default_sentence(schema))
        cells = (f"`{key}`", holds(schema), left_out, meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def holds(schema: Schema) -> str:
    """What a key holds, in words."""
    match schema:
        case {"$ref": _}:
            name = referred(schema)
            return f"[{name}](#{name.lower()})"
        case {"const": value}:
            return f"`{value}`"
        case {"enum": choices} if "us" in choices:
            return "a place (`us`, `eu`) or a region (`us-east-1`)"
        case {"enum": choices}:
            return " ".join(f"`{choice}`" for choice in choices)
        case {"oneOf": choices} | {"anyOf": choices}:
            return " or ".join(dict.fromkeys(holds(each) for each in choices if each != {"type": "null"}))
        case {"type": "array", "items": items}:
            return f"a list: {holds(items)}"
        case {"type": "object", "additionalProperties": value}:
            return f"by name: {holds(value)}"
        case {"type": ["number", "string"]}:
            return "dollars"
        case {"type": "integer"}:
            return "whole number" + bounds(schema)
        case {"type": "boolean"}:
            return "`true` `false`"
        case {"format": "date"}:
            return "day (`2026-07-06`)"
        case {"pattern": str(), "examples": [*_, str(example)]}:
            return f"text like `{example}`"
        case _:
            return "text"


def bounds(schema: Schema) -> str:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    most = schema.get("maximum")
    return f", {least} to {most}" if most is not None else f", {least} or more"


def referred(schema: Schema) -> str:
    return schema["$ref"].rsplit("/", 1)[-1]


def main() -> None:
    FILE.write_text(reference(json_schema(load_catalog())))
    typer.echo(f"wrote {FILE}")


if __name__ == "__main__":
    main()
