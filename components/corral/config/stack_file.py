"""The stack file: `stacks/Pulumi.<stack>.yaml`, which of its keys are ours, and which of their values can be read.

The file is Pulumi's.  Its own top-level keys and the keys of other namespaces (`aws:region`, `kubernetes:context`) are
left alone, whatever stands there.  Ours are `corral:hosts` and so on, with the namespace spelled out: Pulumi takes a
bare `hosts` under `config` for the same thing, but one way to write it is enough.

A key without a value is refused rather than read as left out: `residency:` with its list commented out must not mean
“anywhere”.  An encrypted value (`{secure: v1:…}`) outside of `corral:keys` and `corral:tenantKeys` is refused because
one of them makes Pulumi treat the whole object around it as a secret, and everything that a plan needs must be plain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corral.config import yaml_tree
from corral.config.problems import (
    DEEPEST_LEVEL,
    HOSTS,
    MODELS,
    SECRET_PLACES,
    TENANTS,
    Keys,
    Mark,
    Report,
    Value,
    correction,
    flow,
    listed,
    named,
    nearest,
)
from corral.config.stack import Stack
from corral.config.yaml_tree import Node, NotYamlError, Scalar, entries_of, parse, value_of

NAMESPACE = "corral"

PARTS = tuple(field.alias or name for name, field in Stack.model_fields.items() if not field.exclude)
"""The keys under `corral:`: `hosts`, `models`, …"""

REGION = "aws:region"
"""The one key of another namespace whose value is read."""

SIGNING_IN = ("aws:profile", "aws:assumeRole", "aws:assumeRoles")
"""Keys of Pulumi's provider for AWS that choose its credentials."""

PULUMIS_OWN = ("secretsprovider", "encryptedkey", "encryptionsalt", "environment")
"""Top-level keys beside `config` (pulumi.com/docs/iac/concepts/projects/stack-settings-file)."""

_NEEDED = f"{HOSTS} and {MODELS}"

_LARGEST_BYTES = 4 * 2**20
"""A thousand models on fifty hosts fit."""


def name_of(path: Path) -> str:
    """The stack's name: `prod` of `Pulumi.prod.yaml`."""
    return path.stem.removeprefix("Pulumi.")


def read_config(path: Path, report: Report) -> dict[str, Value]:
    """The file's `config`, by full key (`corral:hosts`); values that are not ours are left out as None.

    Fills the report's marks.  Raises `ConfigError` where there is no `config` to look at.
    """
    return config_of(root_of(text_of(path, report), report), report)


def root_of(text: str, report: Report) -> Node | None:
    """Raises `ConfigError`."""
    try:
        return parse(text)
    except NotYamlError as error:
        report.add((), error.message, error.mark)
        raise report.stop() from None


def config_of(root: Node | None, report: Report) -> dict[str, Value]:
    """As `read_config`, of what the file holds."""
    values: dict[str, Value] = {}
    for key, _, value in entries_of(_config(root, report), (), report):
        is_ours = key == REGION or key.partition(":")[0] == NAMESPACE
        values[key] = value_of(value, (key,), report, as_text=key in SECRET_PLACES) if is_ours else None
    return values


@dataclass(frozen=True)
class ModelLines:
    """Where the models of a stack file stand, each on lines of its own."""

    column: int
    """Of their keys, from 0."""
    starts: tuple[int, ...]
    """Of the first line of each in the text, in the order in which they stand there; then where the last one ends."""


def lines_of(root: Node | None, text: str) -> ModelLines | None:
    """Those of the models of a valid stack file; None where they do not all have lines of their own."""
    config, models = _at(root, "config"), _at(root, "config", MODELS)
    around = [key for node in (root, config) if isinstance(node, yaml_tree.Mapping) for key, _ in node.entries]
    ends = [key.start.index - key.start.column for key in around if key.start.index > models.start.index]
    return model_lines(models, text, min(ends, default=len(text)))


def model_lines(models: Node | None, text: str, end: int) -> ModelLines | None:
    """Likewise, of their mapping in a text, where the last one ends at `end`."""
    keys = [key.start for key, _ in models.entries] if isinstance(models, yaml_tree.Mapping) else []
    starts = [key.index - key.column for key in keys]
    before = (text[max(start - 1, 0) : key.index] for start, key in zip(starts, keys, strict=True))
    are_first = all(blanks.strip(" ") in ("", "\n") for blanks in before)
    is_aligned = len({key.column for key in keys}) == 1
    return ModelLines(keys[0].column, (*starts, end)) if is_aligned and are_first else None


def ours(config: Mapping[str, Value], report: Report) -> dict[str, Value]:
    """The values under `corral:`, by part (`hosts`); a key that is probably meant to be ours is refused."""
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


def usable(value: Value, keys: Keys, report: Report) -> Value:
    """The value as plain lists and mappings; what cannot be looked at is reported and None."""
    if report.is_void(keys):
        return None
    if len(keys) > DEEPEST_LEVEL:
        report.void(keys[:1], f"is nested deeper than {DEEPEST_LEVEL} levels")
        return None
    if value is not None and not isinstance(value, (list, dict)):
        return value
    match value:
        case None:
            report.void(keys, _no_value(keys))
        case {"secure": _}:
            report.void(keys, "is encrypted, or named `secure`: secrets live under corral:keys, the rest is plain text")
        case list():
            return [usable(item, (*keys, place), report) for place, item in enumerate(value)]
        case dict():
            return {str(key): usable(below, (*keys, str(key)), report) for key, below in value.items()}
    return None


def _no_value(keys: Keys) -> str:
    if len(keys) > 1 and ":" in str(keys[-1]):
        return "has no value: a space belongs after the `:`"
    noun = {HOSTS: "host", TENANTS: "tenant"}.get(str(keys[0])) if len(keys) == 2 else None
    if noun:
        return f"has no value: write {{}} where there is nothing to say of the {noun}"
    return "has no value: give it one or remove it"


def _config(root: Node | None, report: Report) -> yaml_tree.Mapping:
    """The file's `config`; its mark is that of the whole file."""
    if root is None or (isinstance(root, Scalar) and not root.text):
        raise report.stop((), f"is empty: a stack starts with `config:` and has {_NEEDED} under it")
    if not isinstance(root, yaml_tree.Mapping):
        raise report.stop((), f"is no mapping: a stack starts with `config:` and has {_NEEDED} under it", root.mark)
    top, config, is_misspelled = ("config", *PULUMIS_OWN), None, False
    for key, at, value in entries_of(root, (), report):
        if key == "config":
            report.start, report.root, config = at.mark, value, value
        elif key in PARTS or ":" in key:
            report.add((key,), "stands at the left margin: indent it under `config:`", at.mark)
            report.excuse((key if ":" in key else f"{NAMESPACE}:{key}",))
        elif key not in PULUMIS_OWN:
            report.add((key,), f"no such key{correction(key, top)}", at.mark)
            is_misspelled = is_misspelled or nearest(key, top) == "config"
    if isinstance(config, yaml_tree.Mapping):
        return config
    if config:
        raise report.stop(("config",), f"must be a mapping with {_NEEDED}")
    if not is_misspelled:
        report.add((), f"has no `config:`: a stack has {_NEEDED} under it")
    raise report.stop()


def text_of(path: Path, report: Report) -> str:
    """Of a file that a person wrote.  Raises ConfigError where it cannot be read."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise report.stop((), "is a pipe or a device: a stack is read from a regular file")
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise report.stop((), _absent(path)) from None
    except OSError as error:
        raise report.stop((), f"cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST_BYTES:
        raise report.stop((), f"is larger than {_LARGEST_BYTES // 2**20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise report.stop((), "is not UTF-8 from here on: save it as UTF-8", Mark(line, 1)) from None


def _absent(path: Path) -> str:
    """That the file is not there, with the stacks that are."""
    there = sorted(name_of(other) for other in path.parent.glob("Pulumi.*.yaml"))
    if not there:
        return f"there is no such file, and no stack in {path.parent}"
    near = nearest(name_of(path), there)
    meant = f": did you mean {named(near)}?" if near else "."
    return f"there is no stack {named(name_of(path))}{meant} There are {listed(there, 'and')}"


def plain_values(value_at: Callable[[str], str | None], is_secret: Callable[[str], bool]) -> dict[str, Value]:
    """All that a stack is read from but secrets, by full key (`corral:hosts`), as Pulumi hands it to a program.

    Pulumi gives an object as JSON and a text as it is.  A key in which anything is encrypted it gives decrypted; such a
    key is left to the stack file, where it is still seen to be encrypted, and refused outside the places of secrets.
    """
    plain = (f"{NAMESPACE}:{part}" for part in PARTS if f"{NAMESPACE}:{part}" not in SECRET_PLACES)
    keys = (REGION, *SIGNING_IN, *plain)
    texts = {key: value_at(key) for key in keys if not is_secret(key)}
    return {key: _plain_value(text) for key, text in texts.items() if text is not None}


def _plain_value(text: str) -> Value:
    try:
        return json.loads(text)
    except ValueError:
        return text


def with_shares(text: str, shares: Mapping[str, Mapping[str, int]]) -> str:
    """The text of a valid stack file with these shares, by model and host, and nothing else changed: a share edit.

    Raises KeyError for a model or a host that the file gives no share.
    """
    lines = text.splitlines(keepends=True)
    models = _at(parse(text), "config", MODELS)
    numbers = [
        (_at(models, model, "shares", host), share)
        for model, of_model in shares.items()
        for host, share in of_model.items()
    ]
    for number, share in sorted(numbers, key=lambda edit: edit[0].mark, reverse=True):
        if not isinstance(number, Scalar):
            raise KeyError(f"no number at line {number.mark.line}")
        line, begin = number.mark.line - 1, number.mark.column - 1
        lines[line] = f"{lines[line][:begin]}{share}{lines[line][begin + len(number.text) :]}"
    return "".join(lines)


def with_keys(text: str, place: Sequence[str], keys: Mapping[str, Value]) -> str:
    """The text of a valid stack file with these keys in front of those of the mapping at this place below `config`, and
    nothing else changed.

    Raises KeyError where there is no such mapping, or nothing in it.
    """
    mapping = _at(parse(text), "config", *place)
    if not isinstance(mapping, yaml_tree.Mapping) or not mapping.entries:
        raise KeyError(place[-1])
    lines = text.splitlines(keepends=True)
    line, begin = (part - 1 for part in mapping.entries[0][0].mark)
    is_flow = lines[mapping.mark.line - 1][mapping.mark.column - 1] == "{"
    between = ", " if is_flow else "\n" + " " * begin
    written = "".join(f"{key}: {_flow(value)}{between}" for key, value in keys.items())
    lines[line] = f"{lines[line][:begin]}{written}{lines[line][begin:]}"
    return "".join(lines)


def _flow(value: Value) -> str:
    """A value as YAML has it on one line; text in quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else flow(value)


def _at(node: Node | None, *keys: str) -> Node:
    for key in keys:
        entries = node.entries if isinstance(node, yaml_tree.Mapping) else []
        node = next((value for name, value in entries if isinstance(name, Scalar) and name.text == key), None)
    if node is None:
        raise KeyError(keys[-1])
    return node
