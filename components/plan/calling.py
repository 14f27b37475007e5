"""How a host is called: which region, which URL, which credential."""

from __future__ import annotations

import re

from components.catalog.catalog import HostEntry
from components.config.hosts import AzureHost, BedrockHost, Host, VllmHost
from components.config.stack import Stack
from components.plan.plan import Credential

PROVISIONED = frozenset({"azure", "vllm"})
"""The kinds of host whose URL is known once they are provisioned."""


def region(host: Host, stack: Stack) -> str | None:
    """The region that is called, for a host that has one.

    The stack's `aws:region` stands in for Bedrock's, and for that of vLLM which the stack itself provisions; a vLLM
    behind a URL may stand anywhere.
    """
    match host:
        case BedrockHost():
            return host.region or stack.region
        case AzureHost():
            return host.location
        case VllmHost():
            return host.region or (None if host.url else stack.region)
        case _:
            return None


def url(host: Host, entry: HostEntry, called: str | None) -> str | None:
    """The base URL without a slash at its end: the stack's, else the catalog's with its holes filled.

    None where a hole stays empty (Azure's `{resource}` before it is provisioned) and for vLLM that is still to be
    provisioned.
    """
    if host.url:
        return host.url
    if entry.url is None or isinstance(host, VllmHost):
        return None
    filling = {"region": called, "resource": host.resource if isinstance(host, AzureHost) else None}
    filled = {hole: value for hole, value in filling.items() if value}
    holes: set[str] = set(re.findall(r"\{(\w+)\}", entry.url))
    return entry.url.format_map(filled).rstrip("/") if holes <= filled.keys() else None


def credential(name: str, host: Host, entry: HostEntry) -> Credential:
    """The credential the host wants.

    A key whose variable nobody names is looked for under the host's name: `lab` → `LAB_API_KEY`.
    """
    variable = host.key_variable or entry.key_variable
    match host.auth or entry.auth:
        case "none":
            return Credential(header=None, ambient=False, variable=None)
        case "aws":
            return Credential(header=None, ambient=True, variable=variable)
        case "bearer":
            header = "authorization"
        case "api-key":
            header = "api-key"
    return Credential(header, ambient=False, variable=variable or f"{name.upper().replace('-', '_')}_API_KEY")
