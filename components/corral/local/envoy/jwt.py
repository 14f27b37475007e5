"""The filter that verifies callers' tokens (JWT), and how the issuers' public keys are fetched.

It lets every request pass: a caller without a good token may have a key.  Its verdict stands in metadata: `token`, the
claims of a good one; `failed`, why one is not.  A second filter copies that into headers, which the gateway's own reads
and takes away: a module of Envoy 1.40 cannot read what is within other metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from corral.local.envoy.clusters import host_cluster
from corral.local.envoy.names import CLAIMS_HEADER, TOKEN_FAILURE_HEADER
from corral.local.envoy.resource import Resource, extension, header
from corral.local.envoy.upstream import Upstream
from corral.plan.callers import Issuer
from corral.plan.plan import RequestSettings

_SCHEMES = ("Bearer ", "bearer ", "BEARER ")
"""How clients write the scheme, whose case means nothing; Envoy compares it as it is."""


def _upstream(issuer: Issuer, trusted: str) -> Upstream:
    url = issuer.jwks or ""
    return Upstream(f"issuer {urlsplit(url).hostname}", url, None, trusted if url.startswith("https:") else None)


def clusters(issuers: Sequence[Issuer], settings: RequestSettings, trusted: str) -> list[Resource]:
    """How the keys are fetched; `trusted` is the PEM file of the certificates this machine trusts."""
    return [host_cluster(_upstream(issuer, trusted), settings) for issuer in issuers if issuer.jwks]


def _verdict(name: str, key: str) -> Resource:
    return {"append": header(name, f"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:{key})%")}


_VERDICTS = [_verdict(CLAIMS_HEADER, "token"), _verdict(TOKEN_FAILURE_HEADER, "failed:message")]
_COPY_VERDICT = extension(
    "filters.http.header_mutation.v3.HeaderMutation", {"mutations": {"request_mutations": _VERDICTS}}
)


def verifiers(issuers: Sequence[Issuer], public_keys: Mapping[str, str], trusted: str) -> list[Resource]:
    """Both filters; none where there is no issuer.

    `public_keys` has the keys (JWKS) of the issuers that have no URL for them.
    """
    if not issuers:
        return []
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
    verifier = extension("filters.http.jwt_authn.v3.JwtAuthentication", {"providers": providers, "rules": rules})
    return [verifier, _COPY_VERDICT]


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
