"""A stack, read from its file by the command line or from Pulumi's configuration by the program: same schema, same
errors.

Raises `ConfigError` with all problems at once, in the order of the file; nothing of a stack is used that does not
validate.  The kind of a host is its `kind`, or else its own name where the catalog has an entry of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from corral.catalog.catalog import Catalog
from corral.config.edits import ReadStack, edited
from corral.config.hosts import OPENAI
from corral.config.problems import HOSTS, SECRET_PLACES, Report, Value, correction, nearest
from corral.config.provisioning import check_provisioning
from corral.config.relations import check_relations
from corral.config.secrets import encrypted_keys
from corral.config.stack import Stack
from corral.config.stack_file import REGION, config_of, lines_of, name_of, ours, read_config, root_of, text_of, usable
from corral.config.validation import validated


def kinds(catalog: Catalog) -> tuple[str, ...]:
    return tuple(sorted({*catalog.hosts, OPENAI}))


def read_stack(path: Path, catalog: Catalog) -> Stack:
    """The stack in the file `Pulumi.<stack>.yaml`."""
    return read_again(path, catalog).stack


def read_again(path: Path, catalog: Catalog, former: ReadStack | None = None) -> ReadStack:
    """Likewise, with its text; where it is as it was in `former`, or only models have changed, no more is read."""
    report = Report(str(path))
    text = text_of(path, report)
    if former and (now := former if former.text == text else edited(former, text, catalog)):
        return now
    root = root_of(text, report)
    config = config_of(root, report)
    stack = _stack(name_of(path), config, catalog, report)
    return ReadStack(text, stack, frozenset(config), lines_of(root, text))


def check_files(stack: Stack, path: Path) -> None:
    """Whether the files are there that a stack names from the folder of its own; others may be on another machine.

    Raises `ConfigError` with all that are not.
    """
    named = {
        **{(HOSTS, name, "ca"): host.ca for name, host in stack.hosts.items()},
        **{("corral:issuers", at, "jwksFile"): issuer.jwks_file for at, issuer in enumerate(stack.issuers)},
        ("corral:registry", "ca"): stack.mirror.ca if stack.mirror else None,
    }
    absent = {keys: file for keys, file in named.items() if file and not (path.parent / file).is_file()}
    if relative := {keys: file for keys, file in absent.items() if not Path(file).is_absolute()}:
        report = Report(str(path))
        read_config(path, report)
        for keys, file in relative.items():
            report.add(keys, f"there is no file {(path.parent / file).absolute()}: put it there, or correct the path")
        raise report.stop()


def stack_from_config(name: str, values: Mapping[str, Value], catalog: Catalog, source: Path | None = None) -> Stack:
    """The stack in Pulumi's configuration.

    `values` maps full keys (`corral:hosts`, `aws:region`) to plain objects, as `pulumi.Config().require_object` gives
    them, without `corral:keys`, which Pulumi would decrypt.  Where the file `source` is there, it gives the line on
    which each key stands, and what `values` leave out: the encrypted keys, and keys that nobody asked for.
    """
    report = Report(str(source) if source else f"Pulumi.{name}.yaml")
    written = read_config(source, report) if source and source.exists() else {}
    return _stack(name, written | dict(values), catalog, report)


def _stack(name: str, config: Mapping[str, Value], catalog: Catalog, report: Report) -> Stack:
    parts = ours(config, report)
    parts = {
        part: usable(value, (f"corral:{part}",), report)
        for part, value in parts.items()
        if f"corral:{part}" not in SECRET_PLACES
    }
    if isinstance(hosts := parts.get("hosts"), dict):
        parts["hosts"] = {host: _with_kind(host, value, catalog, report) for host, value in hosts.items()}
    stack = validated({"name": name, "region": _region(config, report), **parts}, report)
    check_relations(stack, catalog, report)
    check_provisioning(stack, config, catalog, report)
    keys = encrypted_keys(config, stack, catalog, report)
    if report.problems():
        raise report.stop()
    return stack.model_copy(update=keys)


def _with_kind(name: str, host: Value, catalog: Catalog, report: Report) -> Value:
    """The host with its kind; one that cannot be known is reported and guessed, so that the rest can be looked at."""
    if not isinstance(host, dict):
        return host
    valid, keys = kinds(catalog), (HOSTS, name)
    kind = host.get("kind", name if name in valid else None)
    if kind is None and not report.is_void((*keys, "kind")):
        guessed = nearest(name, catalog.hosts)
        meant = f"did you mean {guessed}? If not, " if guessed else ""
        report.add(
            keys,
            f"no host of that name is in the catalog: {meant}add `kind: {OPENAI}` with its url and models, "
            f"or the kind it is of ({', '.join(valid)})",
        )
    elif isinstance(kind, str) and kind not in valid:
        guessed = nearest(kind, valid)
        report.add((*keys, "kind"), f"no such kind{correction(kind, valid)}")
    else:
        return {**host, "kind": kind}
    report.excuse((*keys, "kind"))
    return {**host, "kind": guessed or OPENAI}


def _region(config: Mapping[str, Value], report: Report) -> str | None:
    region = config.get(REGION)
    if region is None or isinstance(region, str):
        return region
    report.add((REGION,), "must be plain text, like us-east-1")
    return None
