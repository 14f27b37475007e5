"""The filter that verifies callers' tokens, and how it comes to the issuers' public keys."""

from __future__ import annotations

from corral.local.envoy.clusters import host_cluster
from corral.local.envoy.jwt import clusters, verifiers
from corral.local.envoy.upstream import Upstream
from corral.plan.callers import Issuer
from corral.plan.plan import RequestSettings

LIMITS = RequestSettings(5_000, 120_000, 600_000, 10_000, 50 * 2**20)
CA = "/etc/ssl/certs/ca-certificates.crt"

LOGIN = Issuer("https://login.example.com/", ("batch", "corral"), "https://login.example.com/keys", None, "sub")
OTHER_REALM = Issuer("https://login.example.com/b", ("corral",), "https://login.example.com/b/keys", None, "sub")
LOCAL = Issuer("local", ("corral",), "http://127.0.0.1:9/keys", None, "sub")
BY_FILE = Issuer("ci", ("corral",), None, "ci.json", "sub")

LINK = Upstream("issuer login.example.com", "https://login.example.com/keys", None, CA)


def test_where_nobody_vouches_there_is_no_filter() -> None:
    assert verifiers((), {}, CA) == []
    assert clusters((), LIMITS, CA) == []


def test_every_request_passes_and_what_was_found_of_its_token_is_told() -> None:
    both = {
        "from_headers": [
            {"name": "Authorization", "value_prefix": scheme} for scheme in ("Bearer ", "bearer ", "BEARER ")
        ],
        "payload_in_metadata": "token",
        "failed_status_in_metadata": "failed",
        "require_expiration": True,
    }
    verifier, verdict = verifiers((BY_FILE, LOGIN), {"ci": '{"keys":[]}'}, CA)
    assert verifier == {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {
                "ci": {
                    "issuer": "ci",
                    "audiences": ["corral"],
                    **both,
                    "local_jwks": {"inline_string": '{"keys":[]}'},
                },
                "https://login.example.com/": {
                    "issuer": "https://login.example.com/",
                    "audiences": ["batch", "corral"],
                    **both,
                    "remote_jwks": {
                        "http_uri": {"uri": "https://login.example.com/keys", "cluster": LINK.name, "timeout": "5s"},
                        "cache_duration": "300s",
                        "async_fetch": {"fast_listener": True, "failed_refetch_duration": "5s"},
                    },
                },
            },
            "rules": [
                {
                    "match": {"prefix": "/"},
                    "requires": {
                        "requires_any": {
                            "requirements": [
                                {"provider_name": "ci"},
                                {"provider_name": "https://login.example.com/"},
                                {"allow_missing_or_failed": {}},
                            ]
                        }
                    },
                }
            ],
        },
    }
    copied = [each["append"]["header"] for each in verdict["typed_config"]["mutations"]["request_mutations"]]
    assert copied == [
        {"key": "x-corral-claims", "value": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:token)%"},
        {"key": "x-corral-token-failure", "value": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:failed:message)%"},
    ]


def test_public_keys_are_fetched_over_links_that_hosts_are_reached_by() -> None:
    plain = Upstream("issuer 127.0.0.1", "http://127.0.0.1:9/keys", None, None)
    assert clusters((BY_FILE, LOCAL, LOGIN), LIMITS, CA) == [
        host_cluster(plain, LIMITS),
        host_cluster(LINK, LIMITS),
    ]


def test_issuers_of_one_machine_have_links_of_their_own() -> None:
    names = [cluster["name"] for cluster in clusters((LOGIN, OTHER_REALM), LIMITS, CA)]
    assert len(set(names)) == 2
