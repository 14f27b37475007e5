"""What a request to a model can reach: the chain of its hosts, what a move replaces, and what is rendered again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from corral.local.envoy.clusters import ClusterCache, model_clusters
from corral.local.envoy.resource import Resource
from corral.local.envoy.upstream import Upstream
from corral.plan.failover import retries
from corral.plan.plan import ModelPlan, RequestSettings
from tests.plan.world import model

LIMITS = RequestSettings(5_000, 120_000, 600_000, 10_000, 50 * 2**20)


def planned(shares: dict[str, int], fallback: list[str]) -> ModelPlan:
    """A model on hosts that all serve it."""
    return model(shares=shares, fallback=fallback)


def link(host: str) -> Upstream:
    return Upstream(host, f"https://{host}.example.com/v1", "authorization", "ca.pem")


def clusters(plan: ModelPlan, links: dict[str, Upstream] | None = None) -> dict[str, Resource]:
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


def only_member(link: Upstream) -> dict[str, Any]:
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
                    "authority": "lab.example.com",
                    "path": "/v1",
                    "json_id": '"Llama-Lab"',
                }
            }
        },
    }


def test_a_host_that_needs_neither_tls_nor_dns_is_reached_directly() -> None:
    there = Upstream("lab", "http://127.0.0.1:8000/v1", None, None)
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


def test_each_link_knows_by_the_absence_of_which_hosts_its_own_are_picked() -> None:
    def picked(plan: ModelPlan) -> list[tuple[dict[str, list[str]], list[Resource]]]:
        links = [each for name, each in clusters(plan).items() if name.endswith((" shares", "1"))]
        return [
            (
                {
                    member["endpoint"]["hostname"]: member["metadata"]["filter_metadata"].get("envoy.lb", {})["without"]
                    for endpoint in each["load_assignment"]["endpoints"]
                    for member in endpoint["lb_endpoints"]
                },
                each["lb_subset_config"]["subset_selectors"],
            )
            for each in links
        ]

    strict, last = [{"keys": ["without"], "fallback_policy": "NO_FALLBACK"}], [{"keys": ["without"]}]
    assert picked(planned({"azure": 60, "bedrock": 40}, ["lab"])) == [
        ({"azure": ["bedrock", "lab", "bedrock+lab"], "bedrock": ["azure", "lab", "azure+lab"]}, strict),
        ({"lab": ["azure", "bedrock", "azure+bedrock"]}, last),
    ]
    six = {"azure": 50, **dict.fromkeys(("bedrock", "vllm", "lab", "deepinfra", "groq"), 10)}
    for plan in (planned({"azure": 100}, []), planned(six, [])):
        assert [each for each in clusters(plan).values() if "lb_subset_config" in each] == []


def test_every_link_gets_its_attempt_and_a_lone_host_a_second_one() -> None:
    cases: list[tuple[dict[str, int], list[str], int]] = [
        ({"bedrock": 100}, [], 1),
        ({"bedrock": 60, "lab": 40}, [], 1),
        ({"bedrock": 100}, ["lab"], 1),
        ({"bedrock": 60, "lab": 40}, ["deepinfra"], 2),
        ({"bedrock": 100}, ["lab", "deepinfra"], 2),
    ]
    assert [retries(planned(shares, fallback)) for shares, fallback, _ in cases] == [want for *_, want in cases]


SLOWER = replace(LIMITS, connect_timeout=9_000)


def upstreams(port: int) -> dict[str, Upstream]:
    return {host: Upstream(host, f"http://127.0.0.1:{port}/v1", None, None) for host in ("bedrock", "lab")}


def models(shares: dict[str, int]) -> list[ModelPlan]:
    return [replace(model(shares={"bedrock": share, "lab": 100 - share}), name=name) for name, share in shares.items()]


PLANS = st.tuples(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from([0, 40, 60])).map(models),
    st.sampled_from([1, 2]).map(upstreams),
    st.sampled_from([LIMITS, SLOWER]),
)


@given(st.lists(PLANS, min_size=1, max_size=4))
def test_the_texts_are_those_of_the_plan_whatever_came_before(
    plans: list[tuple[list[ModelPlan], dict[str, Upstream], RequestSettings]],
) -> None:
    cache = ClusterCache()
    for each, reached, settings in plans:
        texts = cache.render(each, reached, settings)
        clusters = [cluster for one in each for cluster in model_clusters(one, reached, settings)]
        assert {name: json.loads(text) for name, text in texts.items()} == {one["name"]: one for one in clusters}
        assert list(texts) == [one["name"] for one in clusters]


def test_what_has_not_changed_is_not_rendered_again() -> None:
    cache = ClusterCache()
    before = cache.render(models({"a": 40, "b": 40}), upstreams(1), LIMITS)
    after = cache.render(models({"a": 60, "b": 40}), upstreams(1), LIMITS)
    assert {name for name in after if after[name] is not before[name]} == {"model/a", "model/a shares"}
