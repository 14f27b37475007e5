"""The variants of models for tenants of one residency, and what the gateway's first filter knows of callers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corral.local.envoy.module import attempt_text, plan_text
from corral.local.envoy.upstream import Upstream
from corral.local.envoy.variants import (
    ModelVariant,
    NeedsEntry,
    clustered_models,
    needs_entry,
    residency_key,
    variants,
)
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
    assert needs_entry(planned, planned.models[0]) == NeedsEntry(
        every={"": 15},
        lacks={
            "tools": ("tools", 1),
            "jsonMode": ("JSON mode", 2),
            "seed": ("seed", 10),
            "embeddings": ("/v1/embeddings", 14),
        },
        outputs=((8_192, 1),),
    )


def test_what_the_residency_of_a_tenant_leaves_out_is_left_out_of_what_a_request_needs_as_well() -> None:
    planned = replace(build(NEEDY, LACKS), tenants=(tenant("search", ("us",), US),))
    of_residency = {each.key: hosts(each) for each in variants(planned, planned.models[0]) if " us" in each.key}
    assert of_residency == {
        f"{LLAMA} us": [("bedrock", 0, 60), ("vllm", 1, 100)],
        f"{LLAMA} us -2": [("vllm", 0, 100)],
    }
    entry = needs_entry(planned, planned.models[0])
    assert entry is not None
    assert entry.every == {"": 15, "us": 10}


PLAN = build({LLAMA: {"shares": {"bedrock": 100}}, SCOUT: {"shares": {"bedrock": 100}}}, ALIKE)
MODELS = (f"model\t{LLAMA}\t1", f"model\t{SCOUT}\t1")

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


def lines(plan: Plan, keys: dict[str, str]) -> list[str]:
    return plan_text(plan, keys).split("\n")


def test_without_tenants_it_is_open_to_everybody() -> None:
    assert lines(PLAN, {}) == ["open\t", *MODELS]


def test_it_tells_which_models_one_host_alone_serves_and_what_not_all_hosts_take() -> None:
    assert [line for line in lines(plan(), {}) if line.startswith("model")] == [
        f"model\t{LLAMA}\t0",
        f"model\t{SCOUT}\t1",
    ]
    assert lines(build(NEEDY, LACKS), {})[:8] == [
        "open\t",
        f"model\t{LLAMA}\t0",
        "lane\t\t15",
        "lack\ttools\t1\ttools",
        "lack\tjsonMode\t2\tJSON mode",
        "lack\tseed\t10\tseed",
        "lack\tembeddings\t14\t/v1/embeddings",
        "output\t8192\t1",
    ]


def test_every_tenant_stands_in_the_text_with_what_it_may_and_no_more_than_that() -> None:
    assert lines(with_tenants(FREE, SEARCH, issuers=(LOGIN,)), {"aa": "search", "bb": "free"}) == [
        "tenant\tfree\t\t\t\t\t\t\t1",
        "tenant\tsearch\teu+us\t\t20\t1048576\t600\t200000\t0",
        f"grant\t{LLAMA}\t1\t60\t",
        f"grant\t{SCOUT}\t0\t\t20000",
        "key\taa\tsearch",
        "key\tbb\tfree",
        "claim\thttps://login.example.com/\trealm.team",
        "voucher\thttps://login.example.com/\tfree\tfree",
        "voucher\thttps://login.example.com/\tteam-search\tsearch",
        "voucher\thttps://login.example.com/\t7\tsearch",
        *MODELS,
    ]


def test_the_order_in_which_keys_are_found_makes_no_other_text() -> None:
    both = with_tenants(FREE, SEARCH)
    assert plan_text(both, {"bb": "free", "aa": "search"}) == plan_text(both, {"aa": "search", "bb": "free"})


def test_what_would_end_a_field_or_a_line_is_escaped() -> None:
    odd = replace(FREE, claims=("a\tb\nc\\d",))
    (line,) = [line for line in lines(with_tenants(odd, issuers=(LOGIN,)), {}) if line.startswith("voucher")]
    assert line == "voucher\thttps://login.example.com/\ta\\tb\\nc\\\\d\tfree"


def test_the_filter_of_attempts_is_told_where_the_keys_are_and_not_what_they_are() -> None:
    upstreams = (Upstream("a", "https://a", "authorization", None), Upstream("b", "http://127.0.0.1:9", None, None))
    text = attempt_text(upstreams, {upstreams[0].name: Path("/run/corral/secrets/a")})
    assert text == f"{upstreams[0].name}\tauthorization\t/run/corral/secrets/a\n{upstreams[1].name}"
