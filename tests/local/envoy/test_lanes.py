"""Which hosts of a model the tenants of one residency meet."""

from __future__ import annotations

from dataclasses import replace

from corral.local.envoy.routes import Lane, lane_of, lanes, own_models
from corral.plan.plan import Plan, Rate, TenantPlan
from tests.plan.world import LLAMA, SCOUT, build

MODELS = {
    LLAMA: {"shares": {"bedrock": 60, "lab": 30, "vllm": 10, "azure": 0}, "fallback": ["deepinfra"]},
    SCOUT: {"shares": {"bedrock": 100}},
}
US = frozenset({"us", "us-east-1", "us-east-2", "us-west-1", "us-west-2"})
EU = frozenset({"eu", "eu-west-1"})

ANYBODY = TenantPlan("anybody", (), (), (LLAMA, SCOUT), None, None, "normal", Rate(), (), None, None)


def tenant(name: str, residency: tuple[str, ...], regions: frozenset[str], *models: str) -> TenantPlan:
    return replace(ANYBODY, name=name, residency=residency, allowed_regions=regions, models=models or ANYBODY.models)


def plan(*tenants: TenantPlan) -> Plan:
    return replace(build(MODELS), tenants=tenants)


def hosts(lane: Lane) -> list[tuple[str, int, int]]:
    """The live hosts of a lane, each with its priority and weight."""
    return [(target.host, target.priority, target.weight) for target in lane.model.targets if target.live]


def test_tenants_without_a_residency_meet_the_model_as_it_is() -> None:
    made = plan(ANYBODY)
    model = made.models[0]
    assert lane_of(ANYBODY) is None
    assert list(lanes(made, model)) == [Lane(LLAMA, model, LLAMA)]


def test_a_lane_has_the_hosts_that_the_residency_allows_and_a_name_of_its_own() -> None:
    made = plan(ANYBODY, tenant("search", ("us",), US))
    _, lane = lanes(made, made.models[0])
    assert (lane.key, lane.model.name, lane.name) == (f"{LLAMA} us", f"{LLAMA} us", LLAMA)
    assert hosts(lane) == [("bedrock", 0, 60), ("vllm", 0, 10)]


def test_tenants_of_one_residency_share_a_lane_and_lanes_stand_in_order() -> None:
    made = plan(
        tenant("b", ("us",), US), tenant("c", ("eu", "us"), US | EU), tenant("d", ("us",), US), tenant("e", ("eu",), EU)
    )
    assert [lane.key for lane in lanes(made, made.models[0])] == [
        LLAMA,
        f"{LLAMA} eu",
        f"{LLAMA} eu+us",
        f"{LLAMA} us",
    ]


def test_a_lane_that_allows_every_host_leads_to_the_models_own_clusters() -> None:
    made = plan(tenant("search", ("us",), US))
    _, scout = made.models
    assert list(lanes(made, scout)) == [Lane(SCOUT, scout, SCOUT), Lane(f"{SCOUT} us", scout, SCOUT)]


def test_a_model_that_no_tenant_of_the_residency_may_ask_for_has_no_lane() -> None:
    made = plan(tenant("search", ("us",), US, SCOUT))
    assert [lane.key for lane in lanes(made, made.models[0])] == [LLAMA]


def test_clusters_are_needed_for_lanes_that_allow_some_hosts_but_not_all() -> None:
    made = plan(tenant("a", ("eu",), EU), tenant("b", ("us",), US))
    assert [model.name for model in own_models(made)] == [LLAMA, f"{LLAMA} eu", f"{LLAMA} us", SCOUT]
    assert [lane.key for lane in lanes(made, made.models[1])] == [SCOUT, f"{SCOUT} eu", f"{SCOUT} us"]


def test_without_tenants_every_model_is_as_it_is() -> None:
    made = plan()
    assert list(own_models(made)) == list(made.models)
