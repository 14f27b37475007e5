"""What happens to each attempt at a host, a retry included: it gets that host's key, path, `Host` header and id of the
model, and none of another's.

A member of a model's cluster carries in its metadata how its host is asked.  The first filter copies that into headers,
the second injects the key of the link, the third rewrites the request; the headers end there.  The three are the same
for every model, and it is the gateway that names them: in each model's cluster they would be a fifth of all that Envoy
reads again at every move.  The configuration of the second and the third lies in a file of its own.  The keys do so
too; Envoy reads a key only once a cluster names it, which is why the cluster of every host does.
"""

from __future__ import annotations

from collections.abc import Iterable

from corral.local.envoy import scripts
from corral.local.envoy.names import (
    ATTEMPT,
    CREDENTIALS,
    LINK_HEADER,
    NAMESPACE,
    TO_HEADER,
    TYPE,
    Files,
    Resource,
    watched,
)
from corral.local.envoy.upstream import Link

_COMPOSITE = TYPE + "envoy.extensions.filters.http.composite.v3.Composite"


def _told(header: str, key: str) -> Resource:
    return {
        "append": {
            "header": {"key": header, "value": f"%UPSTREAM_METADATA({NAMESPACE}:{key})%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    }


_TELL: Resource = {
    "name": "envoy.filters.http.header_mutation",
    "typed_config": {
        "@type": TYPE + "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {
            "request_mutations": [
                *({"remove": header} for header in ("authorization", "api-key")),
                _told(LINK_HEADER, "link"),
                _told(TO_HEADER, "to"),
            ]
        },
    },
}
"""Attempts of one request share their headers: what the one before was given is taken away first."""

_CODEC: Resource = {
    "name": "envoy.filters.http.upstream_codec",
    "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"},
}


def _credential(link: Link, files: Files) -> list[Resource]:
    """The filter that injects the key of a link, if it takes one."""
    if not link.header:
        return []
    injector = {
        "@type": TYPE + "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        "overwrite": True,
        "credential": {
            "name": "envoy.http.injected_credentials.generic",
            "typed_config": {
                "@type": TYPE + "envoy.extensions.http.injected_credentials.generic.v3.Generic",
                "header": link.header,
                "credential": {"name": link.name, "sds_config": watched(files.secret(link.name))},
            },
        },
    }
    return [{"name": "envoy.filters.http.credential_injector", "typed_config": injector}]


def _credentials(links: Iterable[Link], files: Files) -> Resource:
    """The filter that gives an attempt the key of its link."""
    choices = {
        link.name: {
            "action": {
                "name": link.name,
                "typed_config": {
                    "@type": TYPE + "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction",
                    "typed_config": injector,
                },
            }
        }
        for link in links
        for injector in _credential(link, files)
    }
    if not choices:
        return {"@type": _COMPOSITE}
    asked = {
        "name": "link",
        "typed_config": {
            "@type": TYPE + "envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
            "header_name": LINK_HEADER,
        },
    }
    return {
        "@type": _COMPOSITE,
        "matcher": {"matcher_tree": {"input": asked, "exact_match_map": {"map": choices}}},
    }


def filters(links: Iterable[Link], files: Files) -> dict[str, Resource]:
    """By name those of the filters that have a file."""
    configured = {CREDENTIALS: _credentials(links, files), ATTEMPT: scripts.attempt()}
    return {
        name: {"@type": TYPE + "envoy.config.core.v3.TypedExtensionConfig", "name": name, "typed_config": config}
        for name, config in configured.items()
    }


def http_filters(files: Files) -> list[Resource]:
    """The filters of every attempt."""
    named = [
        {"name": name, "config_discovery": {"config_source": watched(files.filter(name)), "type_urls": [kind]}}
        for name, kind in ((CREDENTIALS, _COMPOSITE), (ATTEMPT, scripts.TYPE_URL))
    ]
    return [_TELL, *named, _CODEC]


def http_options(link: Link, files: Files) -> Resource:
    """HTTP/1.1 to a host, with its key."""
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"idle_timeout": "30s"},
            "explicit_http_config": {"http_protocol_options": {}},
            "http_filters": [*_credential(link, files), _CODEC],
        }
    }
