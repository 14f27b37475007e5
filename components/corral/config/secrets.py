"""`corral:keys`: per host its key, the Hugging Face token, the registry's password; `corral:tenantKeys`: per tenant its
keys.

All of them are encrypted by Pulumi, and no message shows anything of them.  Only what `pulumi config set --secret`
wrote is taken: `{secure: v1:…}`.  A message names the host or tenant at most, and only one that the stack or the
catalog has: what stands in its place may be a key that was pasted one place too early.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from corral.catalog.catalog import Catalog
from corral.config.problems import HOSTS, SECRETS, TENANT_SECRETS, TENANTS, Report, Value, named, nearest
from corral.config.stack import Secret, Stack
from corral.config.tenants import DEFAULT

HUGGING_FACE = "huggingface"
"""The key with which vLLM loads gated weights, no host's."""

REGISTRY = "registry"
"""The key with which pods pull from the registry of the stack, where it names the secret that is made of it."""

_REGISTRY = "corral:registry"


class _Owners(NamedTuple):
    """Those who have keys in one place of secrets."""

    place: str
    noun: str
    declared_in: str
    declared: Collection[str]
    """Empty where they cannot be told."""
    may_have_several: bool
    renewal: str
    """The way out where a key leaked."""


def encrypted_keys(
    config: Mapping[str, Value], stack: Stack, catalog: Catalog, report: Report
) -> dict[str, dict[str, Secret | list[Secret]]]:
    """The stack's `keys` and `tenant_keys`: what declared hosts and tenants have; all else is reported."""
    is_pulled_with = not report.is_sound((_REGISTRY,)) or (stack.mirror and stack.mirror.pull_secret)
    others = (HUGGING_FACE, *([REGISTRY] if is_pulled_with else []))
    hosts = () if report.is_void((HOSTS,)) else (*stack.hosts, *others)
    tenants = () if report.is_void((TENANTS,)) else (DEFAULT,) if stack.tenants is None else tuple(stack.tenants)
    report.owners = {SECRETS: {*catalog.hosts, *hosts, HUGGING_FACE, REGISTRY}, TENANT_SECRETS: {*tenants}}
    of_hosts = _Owners(SECRETS, "host", HOSTS, hosts, False, "get a new one from the host and encrypt it")
    of_tenants = _Owners(TENANT_SECRETS, "tenant", TENANTS, tenants, True, "make a new one and encrypt it")
    return {
        field: dict(_encrypted(config[owners.place], owners, stack, catalog, report))
        for field, owners in (("keys", of_hosts), ("tenant_keys", of_tenants))
        if owners.place in config
    }


def _encrypted(
    value: Value, owners: _Owners, stack: Stack, catalog: Catalog, report: Report
) -> Iterator[tuple[str, Secret | list[Secret]]]:
    place, noun, declared_in, declared, may_have_several, renewal = owners

    def command(owner: str) -> str:
        shown = owner if owner in report.owners[place] and named(owner) == owner else f"<{noun}>"
        return f"`pulumi config set --secret --path '{place}.{shown}' -s {stack.name}`"

    if not isinstance(value, dict) or "secure" in value:
        report.add((place,), f"must map each {noun} to its own encrypted key: {command('')}")
        return
    for name, key in value.items():
        several = key if isinstance(key, list) and may_have_several else [key]
        secrets = [Secret(secure=text) for text in map(_encrypted_text, several) if text]
        if declared and name not in declared and not report.is_void((declared_in, name)):
            near = nearest(name, declared)
            meant = f"did you mean {named(near)}?" if near else f"declare the {noun} there or remove its key"
            problem = f"a key for a {noun} that is not under {declared_in}: {meant}"
            if (place, name) == (SECRETS, REGISTRY):
                problem = f"no secret is made of it: name one in {_REGISTRY}.pullSecret, or remove this key"
            report.add((place, name), problem)
        elif place == SECRETS and stack.secret_store and name in stack.secret_store.keys:
            report.add((place, name), "is in corral:secretStore.keys too, and a key is kept in one place: remove one")
        elif any(isinstance(each, str) and each for each in several):
            variable = _key_variable(name, stack, catalog, report) if place == SECRETS else None
            instead = f" (the local engine takes it from {variable})" if variable else ""
            leaked = f"stands here in plain text, so take it for leaked: {renewal}: {command(name)}{instead}"
            report.add((place, name), leaked)
        elif not secrets or len(secrets) < len(several):
            report.add((place, name), f"is no encrypted value: {command(name)}")
        else:
            yield name, secrets if isinstance(key, list) else secrets[0]


def _encrypted_text(key: Value) -> str | None:
    match key:
        case {"secure": str(text), **more} if not more:
            return text
        case _:
            return None


def _key_variable(name: str, stack: Stack, catalog: Catalog, report: Report) -> str | None:
    """The environment variable that the catalog has for the host's key, unless the stack names another one."""
    host = None if report.is_void((HOSTS, name)) else stack.hosts.get(name)
    entry = catalog.hosts.get(host.kind if host else name)
    return entry.key_variable if entry and not (host and host.key_variable) else None
