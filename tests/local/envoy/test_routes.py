"""The variants of models for tenants of one residency, and what the gateway's first filter knows of callers."""

from __future__ import annotations

from dataclasses import replace

from corral.local.envoy.routes import context
from corral.local.envoy.variants import ModelVariant, clustered_models, needs_entry, residency_key, variants
from corral.plan.plan import Issuer, Plan, Rate, TenantPlan
from tests.plan.world import HOSTS, LLAMA, SCOUT, build

HOSTS_OF_MODELS = {
    LLAMA: {"shares": {"bedrock": 60, "lab": 30, "vllm": 10, "azure": 0}, "fallback": ["deepinfra"]},
    SCOUT: {"shares": {"bedrock": 100}},
}
ALIKE = {host: {**HOSTS[host], "takes": {"vision": True}} for host in ("bedrock", "vllm")}
"""Of whom none is known to lack what the others take."""
US = frozenset({"us", "us-east-1", "us-east-2", "us-west-1", "us-west-2"})
EU = frozenset({"eu", "eu-west-1"})

ANYBODY = TenantPlan("anybody", (), (), (LLAMA, SCOUT), None, None, "normal", Rate(), (), None, None)


def tenant(name: str, residency: tuple[str, ...], regions: frozenset[str], *models: str) -> TenantPlan:
    return replace(ANYBODY, name=name, residency=residency, allowed_regions=regions, models=models or ANYBODY.models)


def plan(*tenants: TenantPlan) -> Plan:
    return replace(build(HOSTS_OF_MODELS, ALIKE), tenants=tenants)


def hosts(variant: ModelVariant) -> list[tuple[str, int, int]]:
    """The live hosts of a variant, each with its priority and weight."""
    return [(target.host, target.priority, target.weight) for target in variant.model.targets if target.live]


def test_tenants_without_a_residency_meet_the_model_as_it_is() -> None:
    planned = plan(ANYBODY)
    model = planned.models[0]
    assert residency_key(ANYBODY) is None
    assert list(variants(planned, model)) == [ModelVariant(LLAMA, model, LLAMA)]


def test_a_variant_has_the_hosts_that_the_residency_allows_and_a_name_of_its_own() -> None:
    planned = plan(ANYBODY, tenant("search", ("us",), US))
    _, variant = variants(planned, planned.models[0])
    assert (variant.key, variant.model.name, variant.name) == (f"{LLAMA} us", f"{LLAMA} us", LLAMA)
    assert hosts(variant) == [("bedrock", 0, 60), ("vllm", 0, 10)]


def test_tenants_of_one_residency_share_a_variant_and_variants_stand_in_order() -> None:
    planned = plan(
        tenant("b", ("us",), US), tenant("c", ("eu", "us"), US | EU), tenant("d", ("us",), US), tenant("e", ("eu",), EU)
    )
    assert [variant.key for variant in variants(planned, planned.models[0])] == [
        LLAMA,
        f"{LLAMA} eu",
        f"{LLAMA} eu+us",
        f"{LLAMA} us",
    ]


def test_a_variant_that_allows_every_host_leads_to_the_models_own_clusters() -> None:
    planned = plan(tenant("search", ("us",), US))
    _, scout = planned.models
    assert list(variants(planned, scout)) == [
        ModelVariant(SCOUT, scout, SCOUT),
        ModelVariant(f"{SCOUT} us", scout, SCOUT),
    ]


def test_a_model_that_no_tenant_of_the_residency_may_ask_for_has_no_variant() -> None:
    planned = plan(tenant("search", ("us",), US, SCOUT))
    assert [variant.key for variant in variants(planned, planned.models[0])] == [LLAMA]


def test_clusters_are_needed_for_variants_that_allow_some_hosts_but_not_all() -> None:
    planned = plan(tenant("a", ("eu",), EU), tenant("b", ("us",), US))
    assert [model.name for model in clustered_models(planned)] == [LLAMA, f"{LLAMA} eu", f"{LLAMA} us", SCOUT]
    assert [variant.key for variant in variants(planned, planned.models[1])] == [SCOUT, f"{SCOUT} eu", f"{SCOUT} us"]


def test_without_tenants_every_model_is_as_it_is() -> None:
    planned = plan()
    assert list(clustered_models(planned)) == list(planned.models)


NEEDY = {
    LLAMA: {"shares": {"azure": 25, "bedrock": 60, "lab": 15, "groq": 0}, "fallback": ["vllm", "deepinfra"]},
    SCOUT: {"shares": {"bedrock": 100}},
}
LACKS = {
    "azure": {**HOSTS["azure"], "takes": {"tools": False}},
    "bedrock": {"takes": {"vision": True, "seed": False, "jsonMode": False, "embeddings": False}},
    "deepinfra": {"takes": {"embeddings": False}},
    "lab": {**HOSTS["lab"], "takes": {"embeddings": False}},
    "vllm": {**HOSTS["vllm"], "takes": {"vision": True, "embeddings": False, "seed": False}},
}


def test_for_each_set_of_hosts_that_requests_leave_out_there_is_a_variant_of_those_that_are_left() -> None:
    planned = build(NEEDY, LACKS)
    assert {variant.key: hosts(variant) for variant in variants(planned, planned.models[0])} == {
        LLAMA: [("azure", 0, 25), ("bedrock", 0, 60), ("lab", 0, 15), ("vllm", 1, 100), ("deepinfra", 2, 100)],
        f"{LLAMA} -1": [("bedrock", 0, 60), ("lab", 0, 15), ("vllm", 1, 100), ("deepinfra", 2, 100)],
        f"{LLAMA} -2": [("azure", 0, 25), ("lab", 0, 15), ("vllm", 1, 100), ("deepinfra", 2, 100)],
        f"{LLAMA} -3": [("lab", 0, 15), ("vllm", 1, 100), ("deepinfra", 2, 100)],
        f"{LLAMA} -10": [("azure", 0, 25), ("lab", 0, 15), ("deepinfra", 1, 100)],
        f"{LLAMA} -11": [("lab", 0, 15), ("deepinfra", 1, 100)],
        f"{LLAMA} -14": [("azure", 0, 25)],
    }
    assert needs_entry(planned, planned.models[0]) == {
        "every": {"": 15},
        "lacks": {
            "tools": {"what": "tools", "hosts": 1},
            "jsonMode": {"what": "JSON mode", "hosts": 2},
            "seed": {"what": "seed", "hosts": 10},
            "embeddings": {"what": "/v1/embeddings", "hosts": 14},
        },
        "outputs": [[8_192, 1]],
    }


def test_what_the_residency_of_a_tenant_leaves_out_is_left_out_of_what_a_request_needs_as_well() -> None:
    planned = replace(build(NEEDY, LACKS), tenants=(tenant("search", ("us",), US),))
    of_residency = {each.key: hosts(each) for each in variants(planned, planned.models[0]) if " us" in each.key}
    assert of_residency == {
        f"{LLAMA} us": [("bedrock", 0, 60), ("vllm", 1, 100)],
        f"{LLAMA} us -2": [("vllm", 0, 100)],
    }
    entry = needs_entry(planned, planned.models[0])
    assert isinstance(entry, dict)
    assert entry["every"] == {"": 15, "us": 10}


PLAN = build({LLAMA: {"shares": {"bedrock": 100}}, SCOUT: {"shares": {"bedrock": 100}}}, ALIKE)
MODELS = {f"{what}:{model}": True for what in ("model", "one host") for model in (LLAMA, SCOUT)}

SEARCH = TenantPlan(
    name="search",
    keys=("aa",),
    claims=("team-search", "7"),
    models=(LLAMA,),
    residency=("eu", "us"),
    allowed_regions=frozenset({"us-east-1"}),
    priority="high",
    rate=Rate(600, 200_000),
    rates=((LLAMA, Rate(60, None)), (SCOUT, Rate(None, 20_000))),
    concurrent=20,
    body_limit=2**20,
)
FREE = TenantPlan("free", (), ("free",), (LLAMA, SCOUT), None, None, "normal", Rate(), (), None, None)
LOGIN = Issuer("https://login.example.com/", ("corral",), "https://login.example.com/keys", None, "realm.team")


def with_tenants(*tenants: TenantPlan, issuers: tuple[Issuer, ...] = ()) -> Plan:
    return replace(PLAN, tenants=tenants, issuers=issuers)


def test_without_tenants_it_is_open_to_everybody() -> None:
    table = context(PLAN, {})
    assert table == {"version": table["version"], "open": {}, **MODELS}


def test_it_has_the_models_that_one_host_alone_serves() -> None:
    assert [entry for entry in context(plan(), {}) if entry.startswith("one host:")] == [f"one host:{SCOUT}"]


def test_every_tenant_stands_in_the_table_with_what_it_may_and_no_more_than_that() -> None:
    table = context(with_tenants(FREE, SEARCH, issuers=(LOGIN,)), {"aa": "search", "bb": "free"})
    assert table == {
        "version": table["version"],
        "open": False,
        **MODELS,
        "key:aa": "search",
        "key:bb": "free",
        "claim:https://login.example.com/": "realm.team",
        "vouched:https://login.example.com/ free": "free",
        "vouched:https://login.example.com/ team-search": "search",
        "vouched:https://login.example.com/ 7": "search",
        "tenant:free": {"rate": {}},
        "tenant:search": {
            "lane": "eu+us",
            "models": {LLAMA: True},
            "rate": {"requests": 600, "tokens": 200_000},
            "rates": {LLAMA: {"requests": 60}, SCOUT: {"tokens": 20_000}},
            "concurrent": 20,
            "body": 2**20,
        },
    }


def test_the_version_changes_with_whatever_is_in_the_table_and_with_nothing_else() -> None:
    def version(plan: Plan, keys: dict[str, str]) -> str:
        return context(plan, keys)["version"]

    base = version(with_tenants(FREE, SEARCH), {"aa": "search", "bb": "free"})
    assert version(with_tenants(FREE, SEARCH), {"bb": "free", "aa": "search"}) == base
    assert version(with_tenants(FREE, replace(SEARCH, concurrent=1)), {"aa": "search", "bb": "free"}) != base
    assert version(with_tenants(FREE, SEARCH), {"aa": "search"}) != base
    assert version(with_tenants(FREE, SEARCH), {"aa": "free", "bb": "search"}) != base


def test_no_key_is_in_it_but_as_its_hash() -> None:
    assert "key:bb" not in context(with_tenants(SEARCH), {"aa": "search"})
