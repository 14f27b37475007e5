"""The stack file: `stacks/Pulumi.<stack>.yaml`, and which of its keys are ours.

The file is Pulumi's.  Its own top-level keys and the keys of other namespaces (`aws:region`, `kubernetes:context`) are
left alone, whatever stands there.  Ours are `corral:hosts` and so on, with the namespace spelled out: Pulumi takes a
bare `hosts` under `config` for the same thing, but one way to write it is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.config import yaml_tree
from components.config.errors import SECRET_PLACES, Mark, Report
from components.config.names import correction, listed, named, nearest
from components.config.plain import entries_of, value_of
from components.config.stack import Stack
from components.config.yaml_tree import Node, NotYamlError, Scalar, parse

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


def read_config(path: Path, report: Report) -> dict[str, Any]:
    """The file's `config`, by full key (`corral:hosts`); values that are not ours are left out as None.

    Fills the report's marks.  Raises `ConfigError` where there is no `config` to look at.
    """
    try:
        root = parse(_text(path, report))
    except NotYamlError as error:
        report.add((), error.message, error.mark)
        raise report.stop() from None
    config = _config(root, report)
    values: dict[str, Any] = {}
    for key, at, value in entries_of(config, (), report):
        report.marks[(key,)] = at.mark
        ours = key == REGION or key.partition(":")[0] == NAMESPACE
        values[key] = value_of(value, (key,), report, as_text=key in SECRET_PLACES) if ours else None
    return values


def ours(config: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Of a config the values under `corral:`, by part (`hosts`); a key that is probably meant to be ours is refused."""
    parts: dict[str, Any] = {}
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
