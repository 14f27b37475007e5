"""The kind of each host: said by `kind`, or by the host's own name where the catalog has an entry of that name.

A stack, read from its file by the command line or from Pulumi's configuration by the program: same schema, same
errors.

Raises `ConfigError` with all problems at once, in the order of the file; nothing of a stack is used that does not
validate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from corral.catalog.catalog import Catalog
from corral.config import translation
from corral.config.problems import SECRETS, TENANT_SECRETS, Report, correction, nearest
from corral.config.relations import check_consistency
from corral.config.secrets import check_keys, check_tenant_keys
from corral.config.stack import Stack
from corral.config.stack_file import REGION, mapping, name_of, ours, read_config, usable
from corral.config.tenants import DEFAULT

OPENAI = "openai"
"""The kind of a host the catalog does not know: any OpenAI-compatible URL."""

NEEDED = {"url": "https://llm.lab.example.com/v1", "models": "{llama-3.3-70b: Llama-3.3-70B}"}
"""What only the stack can say of such a host, with examples."""


def kinds(catalog: Catalog) -> tuple[str, ...]:
    return tuple(sorted({*catalog.hosts, OPENAI}))


def with_kinds(hosts: Mapping[str, Any], catalog: Catalog, report: Report) -> dict[str, Any]:
    """The hosts, each with its kind.

    A kind that cannot be told is reported and guessed, so that the rest of the host can be looked at.
    """
    return {name: _with_kind(name, host, catalog, report) for name, host in hosts.items()}


def _with_kind(name: str, host: Any, catalog: Catalog, report: Report) -> Any:
    if not isinstance(host, Mapping):
        return host
    said = {"kind": name if name in kinds(catalog) else None, **mapping(cast("Any", host))}
    kind, keys = said["kind"], ("corral:hosts", name)
    if kind is None and not report.is_void((*keys, "kind")):
        report.add(keys, _no_kind(name, catalog))
        return {**said, "kind": nearest(name, catalog.hosts) or OPENAI}
    if isinstance(kind, str) and kind not in kinds(catalog):
        report.add((*keys, "kind"), f"no such kind{correction(kind, kinds(catalog))}")
        return {**said, "kind": nearest(kind, kinds(catalog)) or OPENAI}
    if kind == OPENAI:
        for needed, example in NEEDED.items():
            if said.get(needed, {}) == {}:
                report.add((*keys, needed), f"is needed by kind {OPENAI}, for instance {example}")
    return said


def _no_kind(name: str, catalog: Catalog) -> str:
    near = nearest(name, catalog.hosts)
    meant = f"did you mean {near}? If not, " if near else ""
    return (
        f"no host of that name is in the catalog: {meant}add `kind: {OPENAI}` with its url and models, "
        f"or the kind it is of ({', '.join(kinds(catalog))})"
    )


def read_stack(path: Path, catalog: Catalog) -> Stack:
    """The stack in the file `Pulumi.<stack>.yaml`."""
    report = Report(str(path))
    return _stack(name_of(path), read_config(path, report), catalog, report)


def stack_from_config(name: str, values: Mapping[str, Any], catalog: Catalog, source: Path | None = None) -> Stack:
    """The stack in Pulumi's configuration.

    `values` maps full keys (`corral:hosts`, `aws:region`) to plain objects, as `pulumi.Config().require_object` gives
    them, without `corral:keys`, which Pulumi would decrypt.  Where the file `source` is there, it says on which line
    each key stands, and has what `values` leave out: the encrypted keys, and keys that nobody asked for.
    """
    report = Report(str(source) if source else f"Pulumi.{name}.yaml")
    written = read_config(source, report) if source and source.exists() else {}
    return _stack(name, written | dict(values), catalog, report)


def _stack(name: str, config: Mapping[str, Any], catalog: Catalog, report: Report) -> Stack:
    parts = ours(config, report)
    encrypted, of_tenants = parts.pop("keys", None), parts.pop("tenantKeys", None)
    parts = {part: usable(value, (f"corral:{part}",), report) for part, value in parts.items()}
    if isinstance(parts.get("hosts"), Mapping):
        parts["hosts"] = with_kinds(mapping(parts["hosts"]), catalog, report)
    if SECRETS in config:
        parts["keys"] = check_keys(encrypted, name, mapping(parts.get("hosts")), catalog, report)
    if TENANT_SECRETS in config:
        parts["tenantKeys"] = check_tenant_keys(of_tenants, name, _tenants(parts, report), report)
    stack = _validated({"name": name, "region": _region(config, report), **parts}, report)
    check_consistency(parts, catalog, report)
    if stack is None or report.problems():
        raise report.stop()
    return stack


def _tenants(parts: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    """Those who may have keys; empty where they cannot be told."""
    undeclared = "tenants" not in parts and not report.is_void(("corral:tenants",))
    return {DEFAULT: {}} if undeclared else mapping(parts.get("tenants"))


def _region(config: Mapping[str, Any], report: Report) -> str | None:
    region = config.get(REGION)
    if region is None or isinstance(region, str):
        return region
    report.add((REGION,), "must be plain text, like us-east-1")
    return None


def _validated(values: dict[str, Any], report: Report) -> Stack | None:
    try:
        return Stack.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        translation.report_all(error, values, report)
        return None
