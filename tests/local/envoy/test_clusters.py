"""How hosts are reached: one cluster for each, whatever they serve."""

from __future__ import annotations

from typing import Any

from corral.local.envoy.clusters import READ_AHEAD_BYTES, host_cluster
from corral.local.envoy.upstream import Upstream
from corral.plan.failover import UNBOUNDED
from corral.plan.plan import RequestSettings

SETTINGS = RequestSettings(5_000, 120_000, 600_000, 10_000, 50 * 2**20)


def cluster(url: str, ca: str | None = None) -> dict[str, Any]:
    found = host_cluster(Upstream("lab", url, "authorization", ca), SETTINGS)
    assert found["name"].startswith("host/lab@")
    assert (found["connect_timeout"], found["per_connection_buffer_limit_bytes"]) == ("5.000s", READ_AHEAD_BYTES)
    assert set(found["circuit_breakers"]["thresholds"][0].values()) == {UNBOUNDED}
    return found


def endpoint(of: dict[str, Any]) -> dict[str, Any]:
    (locality,) = of["load_assignment"]["endpoints"]
    (found,) = locality["lb_endpoints"]
    return found["endpoint"]["address"]["socket_address"]


def test_a_host_at_a_plain_address_is_reached_there() -> None:
    there = cluster("http://127.0.0.1:8000/v1")
    assert endpoint(there) == {"address": "127.0.0.1", "port_value": 8000}
    assert (there["type"], "transport_socket" in there) == ("STATIC", False)


def test_a_host_with_a_name_is_resolved_and_its_certificate_must_have_that_name() -> None:
    there = cluster("https://lab.example.com/v1", "ca.pem")
    assert endpoint(there) == {"address": "lab.example.com", "port_value": 443}
    assert there["cluster_type"]["name"] == "envoy.clusters.dns"
    tls = there["transport_socket"]["typed_config"]
    assert tls["sni"] == "lab.example.com"
    assert tls["common_tls_context"]["validation_context"] == {
        "trusted_ca": {"filename": "ca.pem"},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "lab.example.com"}}],
    }
