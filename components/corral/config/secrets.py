"""`corral:keys`: per host its key, and the Hugging Face token; `corral:tenantKeys`: per tenant its keys.  All of them
are encrypted by Pulumi, and nothing of them is ever said.

Only what `pulumi config set --secret` wrote is taken: `{secure: v1:…}`.  A message names the host or tenant at most,
and only one that the stack or the catalog knows: what stands in its place may be a key that was pasted one place too
early.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from corral.catalog.catalog import Catalog
from corral.config.problems import SECRETS, TENANT_SECRETS, Report, named, nearest
from corral.config.stack_file import mapping

HUGGING_FACE = "huggingface"
"""What stands beside the hosts: the token with which vLLM loads gated weights."""


def check_keys(value: Any, stack: str, hosts: Mapping[str, Any], catalog: Catalog, report: Report) -> dict[str, Any]:
    """The encrypted keys of declared hosts; all else is reported.  `hosts` is empty where they cannot be told."""
    owners = report.owners[SECRETS] = {*catalog.hosts, *hosts, HUGGING_FACE}
    if not isinstance(value, Mapping) or "secure" in value:
        report.add((SECRETS,), f"must map each host to its own encrypted key: {_command(SECRETS, '<host>', stack)}")
        return {}
    good: dict[str, Any] = {}
    for name, key in mapping(value).items():
        host = name if name in owners and named(name) == name else "<host>"
        if hosts and name not in (*hosts, HUGGING_FACE):
            report.add((SECRETS, name), _undeclared(name, hosts))
        elif isinstance(key, str) and key:
            report.add((SECRETS, name), _plain_text(host, stack, _variable(name, hosts, catalog)))
        elif not _is_encrypted(key):
            report.add((SECRETS, name), f"is no encrypted value: {_command(SECRETS, host, stack)}")
        else:
            good[name] = key
    return good


def check_tenant_keys(value: Any, stack: str, tenants: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The encrypted keys of declared tenants, one or a list of them each; all else is reported.

    `tenants` is empty where they cannot be told.
    """
    report.owners[TENANT_SECRETS] = {*tenants}
    if not isinstance(value, Mapping) or "secure" in value:
        way_out = _command(TENANT_SECRETS, "<tenant>", stack)
        report.add((TENANT_SECRETS,), f"must map each tenant to its own encrypted key: {way_out}")
        return {}
    good: dict[str, Any] = {}
    for name, said in mapping(value).items():
        keys: list[Any] = cast("list[Any]", said) if isinstance(said, list) else [said]
        command = _command(TENANT_SECRETS, name if name in tenants and named(name) == name else "<tenant>", stack)
        if tenants and name not in tenants:
            near = nearest(name, tenants)
            meant = f"did you mean {named(near)}?" if near else "declare the tenant there or remove its key"
            report.add((TENANT_SECRETS, name), f"a key for a tenant that is not under corral:tenants: {meant}")
        elif any(isinstance(key, str) and key for key in keys):
            leaked = "stands here in plain text, so take it for leaked: make a new one and encrypt it"
            report.add((TENANT_SECRETS, name), f"{leaked}: {command}")
        elif not keys or not all(map(_is_encrypted, keys)):
            report.add((TENANT_SECRETS, name), f"is no encrypted value: {command}")
        else:
            good[name] = said
    return good


def _is_encrypted(key: Any) -> bool:
    match key:
        case {"secure": str(text), **more}:
            return bool(text) and not more
        case _:
            return False


def _undeclared(host: str, hosts: Mapping[str, Any]) -> str:
    near = nearest(host, hosts)
    meant = f"did you mean {named(near)}?" if near else "declare the host there or remove its key"
    return f"a key for a host that is not under corral:hosts: {meant}"


def _plain_text(host: str, stack: str, variable: str | None) -> str:
    local = f" (the local engine takes it from {variable})" if variable else ""
    return (
        "stands here in plain text, so take it for leaked: get a new one from the host and encrypt it: "
        f"{_command(SECRETS, host, stack)}{local}"
    )


def _command(place: str, owner: str, stack: str) -> str:
    return f"`pulumi config set --secret --path '{place}.{owner}' -s {stack}`"


def _variable(name: str, hosts: Mapping[str, Any], catalog: Catalog) -> str | None:
    """The environment variable the catalog names for the host's key, unless the stack names another one."""
    said = mapping(hosts.get(name))
    entry = catalog.hosts.get(str(said.get("kind", name)))
    return entry.key_variable if entry and "keyVariable" not in said else None
