"""What a request to a model can reach: the chain of its hosts, and what a move replaces."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from corral.local.envoy.clusters import model_clusters
from corral.local.envoy.names import Resource
from corral.local.envoy.upstream import Link
from corral.plan.failover import retries
from corral.plan.plan import Limits, ModelPlan
from tests.plan.world import model

LIMITS = Limits(5_000, 120_000, 600_000, 10_000, 50 * 2**20)


def planned(shares: dict[str, int], fallback: list[str]) -> ModelPlan:
    """A model on hosts that all serve it."""
    return model(shares=shares, fallback=fallback)


def link(host: str) -> Link:
    return Link(host, f"https://{host}.example.com/v1", "authorization", "ca.pem")


def clusters(plan: ModelPlan, links: dict[str, Link] | None = None) -> dict[str, Resource]:
    links = links or {target.host: link(target.host) for target in plan.targets}
    return {cluster["name"]: cluster for cluster in model_clusters(plan, links, LIMITS)}


def members(cluster: Resource) -> list[tuple[str, int]]:
    """The hosts of a link, each with its weight."""
    return [
        (member["locality"]["zone"], member["load_balancing_weight"])
        for member in cluster["load_assignment"]["endpoints"]
    ]


def chain(found: dict[str, Resource]) -> list[str]:
    return [link["name"] for link in found["model/llama-3.3-70b"]["cluster_type"]["typed_config"]["clusters"]]


def test_the_chain_has_a_link_for_each_attempt() -> None:
    found = clusters(planned({"bedrock": 70, "lab": 30}, ["deepinfra", "azure"]))
    shares, first, second = (f"model/llama-3.3-70b {link}" for link in ("shares", "fallback 1", "fallback 2"))
    assert chain(found) == [shares, shares, first, second]
    assert members(found[shares]) == [("bedrock", 70), ("lab", 30)]
    assert members(found[first]) == [("deepinfra", 100)]
    assert members(found[second]) == [("azure", 100)]


def test_only_the_last_link_tries_hosts_that_were_left_out() -> None:
    found = clusters(planned({"bedrock": 70, "lab": 30}, ["deepinfra"]))
    panic = {name: each.get("common_lb_config", {}).get("healthy_panic_threshold") for name, each in found.items()}
    assert panic == {
        "model/llama-3.3-70b": None,
        "model/llama-3.3-70b shares": {"value": 0},
        "model/llama-3.3-70b fallback 1": {"value": 1},
    }


def only_member(link: Link) -> dict[str, Any]:
    found = clusters(planned({"lab": 100}, []), {"lab": link})
    return found["model/llama-3.3-70b shares"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]


def test_a_member_says_how_its_host_is_asked_and_tls_and_dns_are_behind_a_listener() -> None:
    there = link("lab")
    assert only_member(there) == {
        "endpoint": {
            "address": {"envoy_internal_address": {"server_listener_name": there.name, "endpoint_id": "lab"}},
            "hostname": "lab",
        },
        "metadata": {
            "filter_metadata": {
                "corral": {
                    "host": "lab",
                    "id": "Llama-Lab",
                    "link": there.name,
                    "to": 'lab.example.com /v1 "Llama-Lab"',
                }
            }
        },
    }


def test_a_host_that_needs_neither_tls_nor_dns_is_reached_directly() -> None:
    there = Link("lab", "http://127.0.0.1:8000/v1", None, None)
    assert only_member(there)["endpoint"]["address"] == {"socket_address": {"address": "127.0.0.1", "port_value": 8000}}


def test_a_drained_host_is_no_member() -> None:
    found = clusters(planned({"bedrock": 100, "lab": 0}, []))
    assert members(found["model/llama-3.3-70b shares"]) == [("bedrock", 100)]


@given(st.permutations(["bedrock", "lab", "deepinfra"]), st.integers(1, 99))
def test_a_move_replaces_the_first_link_alone(hosts: list[str], share: int) -> None:
    first, second, third = hosts
    before = clusters(planned({first: 50, second: 50}, [third]))
    after = clusters(planned({first: share, second: 100 - share}, [third]))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == (set() if share == 50 else {"model/llama-3.3-70b shares"})
    assert sum(weight for _, weight in members(after["model/llama-3.3-70b shares"])) == 100


def test_every_link_gets_its_attempt_and_a_lone_host_a_second_one() -> None:
    cases: list[tuple[dict[str, int], list[str], int]] = [
        ({"bedrock": 100}, [], 1),
        ({"bedrock": 60, "lab": 40}, [], 1),
        ({"bedrock": 100}, ["lab"], 1),
        ({"bedrock": 60, "lab": 40}, ["deepinfra"], 2),
        ({"bedrock": 100}, ["lab", "deepinfra"], 2),
    ]
    assert [retries(planned(shares, fallback)) for shares, fallback, _ in cases] == [want for *_, want in cases]
