"""How one host is reached, and the upstream filters: each attempt at a host, a retry included, gets that host's key,
path, `Host` header and id of the model, and none of another's.

A member of a model's cluster carries in its metadata how its host is called.  The first filter copies that into
headers, the second injects the key of the upstream, the third rewrites the request; the headers end there.  The three
are the same for every model, and it is the gateway that names them: in each model's cluster they would be a fifth of
all that Envoy reads again at every move.  The configuration of the second and the third lies in a file of its own.  The
keys do so too; Envoy reads a key only once a cluster names it, which is why the cluster of every host does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from corral.local.envoy import scripts
from corral.local.envoy.names import ATTEMPT, CREDENTIALS, LINK_HEADER, NAMESPACE, TO_HEADER, Files
from corral.local.envoy.resource import Resource, extension, header, type_url, typed, watched


@dataclass(frozen=True)
class Upstream:
    """One host's address, and in which header it takes its key.  The key itself is in a secret file."""

    host: str
    url: str
    """The base URL: what stands in front of `/chat/completions`."""
    header: Literal["authorization", "api-key"] | None
    ca: str | None
    """The PEM file to verify the host's certificate with; None for plain HTTP."""

    @cached_property
    def name(self) -> str:
        """The cluster and the secret of this upstream: a host that is reached in another way gets new ones.

        The former ones serve on until the requests that are on their way are finished.
        """
        how = "\n".join((self.url, self.header or "", self.ca or ""))
        return f"host/{self.host}@{sha256(how.encode()).hexdigest()[:8]}"

    @cached_property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def tls(self) -> bool:
        return self._parts.scheme == "https"

    @property
    def hostname(self) -> str:
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        return self._parts.port or (443 if self.tls else 80)

    @property
    def path(self) -> str:
        """The path prefix, without a slash at its end."""
        return self._parts.path.rstrip("/")

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        return self._parts.netloc

    @cached_property
    def is_address(self) -> bool:
        """Whether the host is named by an IP address, which needs no DNS."""
        try:
            ip_address(self.hostname)
        except ValueError:
            return False
        return True

    @property
    def is_plain(self) -> bool:
        """Whether the host needs neither TLS nor DNS."""
        return self.is_address and not self.tls


_COMPOSITE = "extensions.filters.http.composite.v3.Composite"


def _header_from_metadata(name: str, key: str) -> Resource:
    return {"append": header(name, f"%UPSTREAM_METADATA({NAMESPACE}:{key})%")}


_MUTATIONS = [
    *({"remove": name} for name in ("authorization", "api-key")),
    _header_from_metadata(LINK_HEADER, "link"),
    _header_from_metadata(TO_HEADER, "to"),
]
_SET_HEADERS = extension(
    "filters.http.header_mutation.v3.HeaderMutation", {"mutations": {"request_mutations": _MUTATIONS}}
)
"""Attempts of one request share their headers: what the one before was given is taken away first."""

_CODEC = extension("filters.http.upstream_codec.v3.UpstreamCodec")


def _credential(upstream: Upstream, files: Files) -> list[Resource]:
    """The filter that injects the key of an upstream, if it takes one."""
    if not upstream.header:
        return []
    secret = {"name": upstream.name, "sds_config": watched(files.secret(upstream.name))}
    generic = {"header": upstream.header, "credential": secret}
    credential = extension("http.injected_credentials.generic.v3.Generic", generic)
    injector = {"overwrite": True, "credential": credential}
    return [extension("filters.http.credential_injector.v3.CredentialInjector", injector)]


def _credentials(upstreams: Iterable[Upstream], files: Files) -> Resource:
    """The filter that gives an attempt the key of its upstream."""
    execute = "extensions.filters.http.composite.v3.ExecuteFilterAction"
    choices = {
        upstream.name: {"action": {"name": upstream.name, "typed_config": typed(execute, {"typed_config": injector})}}
        for upstream in upstreams
        for injector in _credential(upstream, files)
    }
    if not choices:
        return typed(_COMPOSITE)
    by_header = typed("type.matcher.v3.HttpRequestHeaderMatchInput", {"header_name": LINK_HEADER})
    tree = {"input": {"name": "link", "typed_config": by_header}, "exact_match_map": {"map": choices}}
    return typed(_COMPOSITE, {"matcher": {"matcher_tree": tree}})


def filters(upstreams: Iterable[Upstream], files: Files) -> dict[str, Resource]:
    """By name those of the filters that have a file."""
    configured = {CREDENTIALS: _credentials(upstreams, files), ATTEMPT: scripts.attempt()}
    return {
        name: typed("config.core.v3.TypedExtensionConfig", {"name": name, "typed_config": config})
        for name, config in configured.items()
    }


def _discovered(name: str, kind: str, files: Files) -> Resource:
    discovery = {"config_source": watched(files.filter(name)), "type_urls": [type_url(kind)]}
    return {"name": name, "config_discovery": discovery}


def http_filters(files: Files) -> list[Resource]:
    """The filters of every attempt."""
    credentials, attempt = _discovered(CREDENTIALS, _COMPOSITE, files), _discovered(ATTEMPT, scripts.LUA, files)
    return [_SET_HEADERS, credentials, attempt, _CODEC]


def http_options(upstream: Upstream, files: Files) -> Resource:
    """HTTP/1.1 to a host, with its key."""
    options: Resource = {
        "common_http_protocol_options": {"idle_timeout": "30s"},
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [*_credential(upstream, files), _CODEC],
    }
    name = "extensions.upstreams.http.v3.HttpProtocolOptions"
    return {f"envoy.{name}": typed(name, options)}
