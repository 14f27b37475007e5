"""A stack, read from its file by the command line or from Pulumi's configuration by the program: same schema, same
errors.

Raises `ConfigError` with all problems at once, in the order of the file; nothing of a stack is used that does not
validate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.catalog.catalog import Catalog
from components.config import translation
from components.config.consistency import check_consistency
from components.config.errors import SECRETS, TENANT_SECRETS, Report
from components.config.kinds import with_kinds
from components.config.secrets import check_keys, check_tenant_keys
from components.config.stack import Stack
from components.config.stack_file import REGION, name_of, ours, read_config
from components.config.tenants import DEFAULT
from components.config.usable import mapping, usable


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
