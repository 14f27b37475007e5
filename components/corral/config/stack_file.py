"""What of a configuration can be looked at at all: what has a value, and a plain one.

A key without a value is refused rather than read as left out: `residency:` with its list commented out must not mean
“anywhere”.  An encrypted value (`{secure: v1:…}`) outside of `corral:keys` and `corral:tenantKeys` is refused because
one of them makes Pulumi treat the whole object around it as a secret, and everything that a plan needs must be plain.

The stack file: `stacks/Pulumi.<stack>.yaml`, and which of its keys are ours.

The file is Pulumi's.  Its own top-level keys and the keys of other namespaces (`aws:region`, `kubernetes:context`) are
left alone, whatever stands there.  Ours are `corral:hosts` and so on, with the namespace spelled out: Pulumi takes a
bare `hosts` under `config` for the same thing, but one way to write it is enough.

The configuration as Pulumi hands it to a program, as plain values.

Pulumi gives text: an object as JSON, a text as it is.  A key in which anything is encrypted it gives decrypted; such a
key is left to the stack file, where it is still seen to be encrypted, and refused if it is neither `corral:keys` nor
`corral:tenantKeys`.

A share edit as a person makes it: numbers in the text of a stack file, and nothing else in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from corral.config import yaml_tree
from corral.config.problems import SECRET_PLACES, Keys, Mark, Report, Value, correction, listed, named, nearest
from corral.config.stack import Stack
from corral.config.yaml_tree import Node, NotYamlError, Scalar, entries_of, parse, value_of

_DEEPEST = 32


def usable(value: Value, keys: Keys, report: Report) -> Value:
    """The value as plain lists and mappings; what cannot be looked at is reported and None."""
    if report.is_void(keys):
        return None
    if len(keys) > _DEEPEST:
        report.void(keys[:1], f"is nested deeper than {_DEEPEST} levels")
    elif value is None:
        report.void(keys, _no_value(keys))
    elif isinstance(value, list):
        return [usable(item, (*keys, place), report) for place, item in enumerate(value)]
    elif isinstance(value, dict):
        if "secure" not in value:
            return {str(key): usable(below, (*keys, str(key)), report) for key, below in value.items()}
        report.void(keys, "is encrypted, or named `secure`: secrets live under corral:keys, the rest is plain text")
    else:
        return value
    return None


def _no_value(keys: Keys) -> str:
    last = keys[-1]
    if isinstance(last, str) and ":" in last and len(keys) > 1:
        return "has no value: a space belongs after the `:`"
    if len(keys) == 2 and keys[0] == "corral:hosts":
        return "has no value: write {} where there is nothing to say of the host"
    if len(keys) == 2 and keys[0] == "corral:tenants":
        return "has no value: write {} where there is nothing to say of the tenant"
    return "has no value: give it one or remove it"


NAMESPACE = "corral"

PARTS = tuple(field.alias or name for name, field in Stack.model_fields.items() if not field.exclude)
"""What stands under `corral:`: `hosts`, `models`, …"""

REGION = "aws:region"
"""The one key of another namespace that is read."""

PULUMIS_OWN = ("secretsprovider", "encryptedkey", "encryptionsalt", "environment")
"""Top-level keys beside `config` (pulumi.com/docs/iac/concepts/projects/stack-settings-file)."""

_NEEDED = f"{NAMESPACE}:hosts and {NAMESPACE}:models"

_LARGEST = 4 * 2**20
"""Bytes of a stack file; a thousand models on fifty hosts fit."""


def name_of(path: Path) -> str:
    """The stack's name: `prod` of `Pulumi.prod.yaml`."""
    return path.stem.removeprefix("Pulumi.")


def read_config(path: Path, report: Report) -> dict[str, Value]:
    """The file's `config`, by full key (`corral:hosts`); values that are not ours are left out as None.

    Fills the report's marks.  Raises `ConfigError` where there is no `config` to look at.
    """
    try:
        root = parse(_text(path, report))
    except NotYamlError as error:
        report.add((), error.message, error.mark)
        raise report.stop() from None
    config = _config(root, report)
    values: dict[str, Value] = {}
    for key, at, value in entries_of(config, (), report):
        report.marks[(key,)] = at.mark
        ours = key == REGION or key.partition(":")[0] == NAMESPACE
        values[key] = value_of(value, (key,), report, as_text=key in SECRET_PLACES) if ours else None
    return values


def ours(config: Mapping[str, Value], report: Report) -> dict[str, Value]:
    """Of a config the values under `corral:`, by part (`hosts`); a key that is probably meant to be ours is refused."""
    parts: dict[str, Value] = {}
    meant: set[str | None] = set()
    for key, value in config.items():
        before, _, name = key.rpartition(":")
        namespace = before.removesuffix(":config")
        if namespace not in ("", NAMESPACE):
            if name in PARTS and nearest(namespace, (NAMESPACE,)):
                report.add((key,), f"no such key: did you mean {NAMESPACE}:{name}?")
                meant.add(name)
        elif name not in PARTS:
            report.add((key,), f"no such key{correction(name, PARTS, f'{NAMESPACE}:')}")
            meant.add(nearest(name, PARTS))
        elif key != f"{NAMESPACE}:{name}":
            report.add((key,), f"write {NAMESPACE}:{name}")
            meant.add(name)
        else:
            parts[name] = value
    for name in meant - parts.keys():
        report.excuse((f"{NAMESPACE}:{name}",))
    return parts


def _config(root: Node | None, report: Report) -> yaml_tree.Mapping:
    """The file's `config`; its mark is that of the whole file."""
    if root is None or (isinstance(root, Scalar) and not root.text):
        report.add((), f"is empty: a stack starts with `config:` and has {_NEEDED} under it")
        raise report.stop()
    if not isinstance(root, yaml_tree.Mapping):
        report.add((), f"is no mapping: a stack starts with `config:` and has {_NEEDED} under it", root.mark)
        raise report.stop()
    found: tuple[Node, Node] | None = None
    top = ("config", *PULUMIS_OWN)
    misspelled = False
    for key, at, value in entries_of(root, (), report):
        if key == "config":
            found = at, value
        elif key in PARTS or ":" in key:
            report.add((key,), "stands at the left margin: indent it under `config:`", at.mark)
            report.excuse((key if ":" in key else f"{NAMESPACE}:{key}",))
        elif key not in PULUMIS_OWN:
            report.add((key,), f"no such key{correction(key, top)}", at.mark)
            misspelled = misspelled or nearest(key, top) == "config"
    if found is None:
        if not misspelled:
            report.add((), f"has no `config:`: a stack has {_NEEDED} under it")
        raise report.stop()
    at, config = found
    if not isinstance(config, yaml_tree.Mapping):
        report.add(("config",), f"must be a mapping with {_NEEDED}", at.mark)
        raise report.stop()
    report.marks[()] = at.mark
    return config


def _text(path: Path, report: Report) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        report.add((), _absent(path))
    except OSError as error:
        report.add((), f"cannot be read: {error.strerror}")
    else:
        if len(content) > _LARGEST:
            report.add((), f"is larger than {_LARGEST // 2**20} MiB")
        else:
            try:
                return content.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                line = content.count(b"\n", 0, error.start) + 1
                report.add((), "is not UTF-8 from here on: save it as UTF-8", Mark(line, 1))
    raise report.stop()


def _absent(path: Path) -> str:
    """That the file is not there, with the stacks that are."""
    there = sorted(name_of(other) for other in path.parent.glob("Pulumi.*.yaml"))
    if not there:
        return f"there is no such file, and no stack in {path.parent}"
    near = nearest(name_of(path), there)
    meant = f": did you mean {named(near)}?" if near else "."
    return f"there is no stack {named(name_of(path))}{meant} There are {listed(there, 'and')}"


_KEYS = (REGION, *(f"{NAMESPACE}:{part}" for part in PARTS))


def plain_values(text_of: Callable[[str], str | None], is_secret: Callable[[str], bool]) -> dict[str, Value]:
    """By full key (`corral:hosts`) all that a stack is read from, without secrets."""
    texts = {key: text_of(key) for key in _KEYS if key not in SECRET_PLACES and not is_secret(key)}
    return {key: _value(text) for key, text in texts.items() if text is not None}


def _value(text: str) -> Value:
    try:
        return json.loads(text)
    except ValueError:
        return text


def with_shares(text: str, shares: Mapping[str, Mapping[str, int]]) -> str:
    """The text of a valid stack file with these shares, by model and host, in place of those it has.

    Raises KeyError for a model or a host that the file gives no share.
    """
    lines = text.splitlines(keepends=True)
    numbers = [
        (_at(_at(_at(models, model), "shares"), host), share)
        for models in (_at(_at(parse(text), "config"), "corral:models"),)
        for model, of_model in shares.items()
        for host, share in of_model.items()
    ]
    for number, share in sorted(numbers, key=lambda found: found[0].mark, reverse=True):
        if not isinstance(number, Scalar):
            raise KeyError(f"no number at line {number.mark.line}")
        line, begin = number.mark.line - 1, number.mark.column - 1
        lines[line] = f"{lines[line][:begin]}{share}{lines[line][begin + len(number.text) :]}"
    return "".join(lines)


def _at(node: Node | None, key: str) -> Node:
    for name, value in _entries(node):
        if isinstance(name, Scalar) and name.text == key:
            return value
    raise KeyError(key)


def _entries(node: Node | None) -> Iterator[tuple[Node, Node]]:
    if isinstance(node, yaml_tree.Mapping):
        yield from node.entries
