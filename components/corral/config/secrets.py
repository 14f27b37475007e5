"""`corral:keys`: per host its key, and the Hugging Face token; `corral:tenantKeys`: per tenant its keys.

All of them are encrypted by Pulumi, and no message shows anything of them.  Only what `pulumi config set --secret`
wrote is taken: `{secure: v1:…}`.  A message names the host or tenant at most, and only one that the stack or the
catalog has: what stands in its place may be a key that was pasted one place too early.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from corral.catalog.catalog import Catalog
from corral.config.problems import HOSTS, SECRETS, TENANT_SECRETS, TENANTS, Report, Value, named, nearest
from corral.config.stack import Secret, Stack
from corral.config.tenants import DEFAULT

HUGGING_FACE = "huggingface"
"""What stands beside the hosts: the token with which vLLM loads gated weights."""


class _Owners(NamedTuple):
    """Those who have keys in one place of secrets."""

    noun: str
    place: str
    declared_in: str
    declared: Collection[str]
    """Empty where they cannot be told."""
    takes_lists: bool


def host_keys(value: Value, stack: Stack, catalog: Catalog, report: Report) -> dict[str, Secret]:
    """The encrypted keys of declared hosts; all else is reported."""

    def renewal(name: str, command: str) -> str:
        host = None if report.is_void((HOSTS, name)) else stack.hosts.get(name)
        entry = None if host and host.key_variable else catalog.hosts.get(host.kind if host else name)
        local = f" (the local engine takes it from {entry.key_variable})" if entry and entry.key_variable else ""
        return f"get a new one from the host and encrypt it: {command}{local}"

    declared = () if report.is_void((HOSTS,)) else (*stack.hosts, HUGGING_FACE)
    report.owners[SECRETS] = {*catalog.hosts, *declared, HUGGING_FACE}
    owners = _Owners("host", SECRETS, HOSTS, declared, takes_lists=False)
    keys = _encrypted(value, owners, renewal, stack.name, report)
    return {name: key for name, key in keys if isinstance(key, Secret)}


def tenant_keys(value: Value, stack: Stack, report: Report) -> dict[str, Secret | list[Secret]]:
    """The encrypted keys of declared tenants, one or a list of them each; all else is reported."""

    def renewal(_: str, command: str) -> str:
        return f"make a new one and encrypt it: {command}"

    declared = () if report.is_void((TENANTS,)) else (DEFAULT,) if stack.tenants is None else tuple(stack.tenants)
    report.owners[TENANT_SECRETS] = {*declared}
    owners = _Owners("tenant", TENANT_SECRETS, TENANTS, declared, takes_lists=True)
    return dict(_encrypted(value, owners, renewal, stack.name, report))


def _encrypted(
    value: Value, owners: _Owners, renewal: Callable[[str, str], str], stack: str, report: Report
) -> Iterator[tuple[str, Secret | list[Secret]]]:
    """What each declared owner has here; `renewal` says, with the command, what to do about a key that leaked."""
    noun, place, declared_in, declared, takes_lists = owners
    if not isinstance(value, dict) or "secure" in value:
        report.add((place,), f"must map each {noun} to its own encrypted key: {_command(place, f'<{noun}>', stack)}")
        return
    for name, key in value.items():
        may_be_named = name in report.owners[place] and named(name) == name
        command = _command(place, name if may_be_named else f"<{noun}>", stack)
        several = key if isinstance(key, list) and takes_lists else [key]
        secrets = [Secret(secure=text) for text in map(_encrypted_text, several) if text]
        if declared and name not in declared and not report.is_void((declared_in, name)):
            near = nearest(name, declared)
            meant = f"did you mean {named(near)}?" if near else f"declare the {noun} there or remove its key"
            report.add((place, name), f"a key for a {noun} that is not under {declared_in}: {meant}")
        elif any(isinstance(each, str) and each for each in several):
            leaked = f"stands here in plain text, so take it for leaked: {renewal(name, command)}"
            report.add((place, name), leaked)
        elif not secrets or len(secrets) < len(several):
            report.add((place, name), f"is no encrypted value: {command}")
        else:
            yield name, secrets if isinstance(key, list) else secrets[0]


def _encrypted_text(key: Value) -> str | None:
    match key:
        case {"secure": str(text), **more} if not more:
            return text
        case _:
            return None


def _command(place: str, owner: str, stack: str) -> str:
    return f"`pulumi config set --secret --path '{place}.{owner}' -s {stack}`"
