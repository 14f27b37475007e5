"""The filter that verifies callers' tokens (JWT), and how the issuers' public keys are fetched.

It lets every request pass: a caller without a good token may have a key.  Its verdict stands in metadata for the next
filter: `token`, the claims of a good one; `failed`, why one is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from corral.local.envoy.clusters import host_cluster
from corral.local.envoy.names import Files
from corral.local.envoy.resource import Resource, extension
from corral.local.envoy.upstream import Upstream
from corral.plan.plan import Issuer, RequestSettings

_SCHEMES = ("Bearer ", "bearer ", "BEARER ")
"""How clients write the scheme, whose case means nothing; Envoy compares it as it is."""


def _upstream(issuer: Issuer, trusted: str) -> Upstream:
    url = issuer.jwks or ""
    return Upstream(f"issuer {urlsplit(url).hostname}", url, None, trusted if url.startswith("https:") else None)


def clusters(issuers: Sequence[Issuer], settings: RequestSettings, trusted: str, files: Files) -> list[Resource]:
    """How the keys are fetched; `trusted` is the PEM file of the certificates this machine trusts."""
    return [host_cluster(_upstream(issuer, trusted), settings, files) for issuer in issuers if issuer.jwks]


def verifier(issuers: Sequence[Issuer], public_keys: Mapping[str, str], trusted: str) -> Resource | None:
    """The filter; None where there is no issuer.

    `public_keys` has the keys (JWKS) of the issuers that have no URL for them.
    """
    if not issuers:
        return None
    providers = {
        issuer.issuer: {
            "issuer": issuer.issuer,
            "audiences": list(issuer.audiences),
            "from_headers": [{"name": "Authorization", "value_prefix": scheme} for scheme in _SCHEMES],
            "payload_in_metadata": "token",
            "failed_status_in_metadata": "failed",
            "require_expiration": True,
            **_keys(issuer, public_keys, trusted),
        }
        for issuer in issuers
    }
    either: list[Resource] = [*({"provider_name": name} for name in providers), {"allow_missing_or_failed": {}}]
    rules = [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": either}}}]
    return extension(
        "filters.http.jwt_authn.v3.JwtAuthentication",
        {"providers": providers, "rules": rules},
    )


def _keys(issuer: Issuer, public_keys: Mapping[str, str], trusted: str) -> Resource:
    if issuer.jwks is None:
        return {"local_jwks": {"inline_string": public_keys[issuer.issuer]}}
    return {
        "remote_jwks": {
            "http_uri": {"uri": issuer.jwks, "cluster": _upstream(issuer, trusted).name, "timeout": "5s"},
            "cache_duration": "300s",
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "5s"},
        }
    }
