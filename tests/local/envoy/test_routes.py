"""What the module is told of callers, models and hosts, and how often a request may be tried."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from corral.local.envoy.module import BudgetFile, plan_text
from corral.local.envoy.names import Files
from corral.local.envoy.routes import gateway_routes
from corral.local.envoy.upstream import Upstream
from corral.plan.callers import Budget, Issuer, Rate, TenantPlan
from corral.plan.failover import RETRIED_STATUS
from corral.plan.plan import Plan
from corral.plan.trace import model_hash
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


def lines(plan: Plan, keys: dict[str, str]) -> list[str]:
    """But for who is left out when, which a test of its own has."""
    ejection, trace, *rest = plan_text(plan, keys, {}, {}).split("\n")
    assert (ejection, trace) == ("ejection\t5\t10000\t300000\t1000", "trace\tunknown\t1")
    return rest


def of_models(plan: Plan) -> list[str]:
    return [line for line in lines(plan, {}) if re.match("model|target|residency|lack|output", line)]


BEDROCK = "us.meta.llama3-3"


def test_a_model_has_its_live_hosts_in_order_with_their_shares_and_ids() -> None:
    assert of_models(plan()) == [
        f"model\t{LLAMA}\t4\t{model_hash(plan().models[0], plan())}",
        f'target\tbedrock\t60\t0\t"{BEDROCK}"\t',
        'target\tlab\t30\t0\t"Llama-Lab"\t',
        f'target\tvllm\t10\t0\t"{LLAMA}"\t',
        'target\tdeepinfra\t100\t1\t"Llama-3.3-Turbo"\t',
        f"model\t{SCOUT}\t1\t{model_hash(plan().models[1], plan())}",
        'target\tbedrock\t100\t0\t"us.meta.llama4-scout"\t',
    ]


def test_a_residency_is_told_of_the_models_of_which_it_does_not_allow_every_host() -> None:
    tenants = (tenant("a", ("eu",), EU), tenant("b", ("us",), US), tenant("c", ("us",), US), tenant("d", ("mars",), US))
    told = of_models(plan(ANYBODY, *tenants[:3], replace(tenants[3], models=(SCOUT,))))
    assert [line for line in told if line.startswith("residency")] == [
        "residency\teu\t2",
        "residency\tus\t5",
        "residency\teu\t0",
    ]


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


def test_it_tells_what_not_all_hosts_take() -> None:
    told = [line for line in of_models(build(NEEDY, LACKS)) if re.match("lack|output", line)]
    assert told[:5] == [
        "lack\ttools\t1\ttools",
        "lack\tjsonMode\t2\tJSON mode",
        "lack\tseed\ta\tseed",
        "lack\tembeddings\t1e\t/v1/embeddings",
        "output\t8192\t1",
    ]


def test_a_request_may_be_tried_once_at_each_host_and_a_lone_one_twice_but_not_where_it_is_busy() -> None:
    (route,) = [
        gateway_routes(plan(), Path("/run/plan"), Files(Path("/run")))["virtual_hosts"][0]["matcher"]["on_no_match"]
    ]
    cluster = route["action"]["typed_config"]["route"]["inline_cluster_specifier_plugin"]["extension"]
    policies = {
        hosts: each["retry_policy"] for hosts, each in cluster["typed_config"]["route_action_overrides"].items()
    }
    assert {hosts: policy["num_retries"] for hosts, policy in policies.items()} == {"1": 1, "2": 1, "3": 2, "4": 3}
    assert policies["1"]["retriable_status_codes"] == [status for status in RETRIED_STATUS if status != 429]
    assert policies["2"]["retriable_status_codes"] == [*RETRIED_STATUS]
    assert all(policy["refresh_cluster_on_retry"] for policy in policies.values())


PLAN = build({LLAMA: {"shares": {"bedrock": 100}}, SCOUT: {"shares": {"bedrock": 100}}}, ALIKE)
SHARED, SCOUTS = of_models(PLAN)[:2], of_models(PLAN)[2:]

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
    assert lines(PLAN, {}) == ["open\t", *SHARED, *SCOUTS]


def test_every_tenant_stands_in_the_text_with_what_it_may_and_no_more_than_that() -> None:
    planned = with_tenants(FREE, SEARCH, issuers=(LOGIN,))
    assert lines(planned, {"aa": "search", "bb": "free"}) == [
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
        f"model\t{LLAMA}\t1\t{model_hash(planned.models[0], planned)}",
        SHARED[1],
        "residency\teu+us\t0",
        *SCOUTS,
    ]


def test_the_order_in_which_keys_are_found_makes_no_other_text() -> None:
    both = with_tenants(FREE, SEARCH)
    assert lines(both, {"bb": "free", "aa": "search"}) == lines(both, {"aa": "search", "bb": "free"})


def test_what_would_end_a_field_or_a_line_is_escaped() -> None:
    odd = replace(FREE, claims=("a\tb\nc\\d",))
    (line,) = [line for line in lines(with_tenants(odd, issuers=(LOGIN,)), {}) if line.startswith("voucher")]
    assert line == "voucher\thttps://login.example.com/\ta\\tb\\nc\\\\d\tfree"


def test_it_is_told_where_the_keys_are_and_not_what_they_are() -> None:
    first = Upstream("a", "https://a.example.com/v1/", "authorization", None)
    second = Upstream("b", "http://127.0.0.1:9", None, None)
    text = plan_text(PLAN, {}, {"a": first, "b": second}, {first.name: Path("/run/corral/secrets/a")})
    assert text.split("\n")[2:4] == [
        f"host\ta\t{first.name}\ta.example.com\t/v1\tauthorization\t/run/corral/secrets/a",
        f"host\tb\t{second.name}\t127.0.0.1:9\t\t\t",
    ]


def test_it_is_told_what_a_host_takes_of_a_model_and_of_all() -> None:
    limits = {"concurrent": 9, "perModel": {LLAMA: {"concurrent": 3, "tokensPerMinute": "4k"}}}
    lab = {**HOSTS["lab"], "limits": limits, "overflow": "wait 2s"}
    limited = build({LLAMA: {"shares": {"lab": 100}}}, {"lab": lab})
    reached = {"lab": Upstream("lab", "http://127.0.0.1:9", None, None)}
    text = plan_text(limited, {}, reached, {})
    assert f"host\tlab\t{reached['lab'].name}\t127.0.0.1:9\t\t\t\t9\t\t" in text.split("\n")
    assert "overflow\tlab\t2000" in text.split("\n")
    assert 'target\tlab\t100\t0\t"Llama-Lab"\t\t3\t\t4000' in text.split("\n")


def test_it_is_told_of_budgets_and_prices_where_some_tenant_has_one() -> None:
    hosts = {
        "lab": {
            **HOSTS["lab"],
            "models": {LLAMA: {"id": "L", "price": {"input": 0.5, "output": 2, "cachedInput": 0.1}}},
        }
    }
    free = {"vllm": {"models": {LLAMA: {"id": "V", "context": 9_000, "price": {"input": 1, "output": 1}}}}}
    planned = build({LLAMA: {"shares": {"bedrock": 60, "lab": 30, "vllm": 10}}}, hosts | free)
    tenants = (FREE, replace(SEARCH, budget=Budget(300, None, "allow")), replace(FREE, name="t", budget=Budget(1, 2)))
    budgets = BudgetFile(Path("/run/b"), {"search": 7, "t": 1}, frozenset({"vllm"}))
    text = plan_text(replace(planned, tenants=tenants), {}, {}, {}, budgets).split("\n")
    assert text[2] == "budgets\t/run/b"
    assert [line for line in text if re.match("budget\t|target|price", line)] == [
        "budget\t7\t300\t\t1",
        "budget\t1\t1\t2\t0",
        f'target\tbedrock\t60\t0\t"{BEDROCK}"\t',
        "price\t720000\t720000\t\t128000\t128000",
        'target\tlab\t30\t0\t"L"\t',
        "price\t500000\t2000000\t100000\t131072\t131072",
        'target\tvllm\t10\t0\t"V"\t',
    ]
    assert "price" not in plan_text(replace(planned, tenants=(FREE,)), {}, {}, {})


def test_the_lines_of_models_that_are_kept_are_those_of_a_text_made_anew() -> None:
    eu = tenant("abroad", ("eu",), EU)
    moved = plan().models[0].only(lambda target: target.host != "lab")
    first, other = plan(), plan(eu)
    other = replace(other, models=first.models)
    edited = replace(first, models=(moved, *first.models[1:]))
    budgets = BudgetFile(Path("/run/b"), {}, frozenset())
    for each in (first, first, edited, other, first, replace(first, models=first.models[1:]), first):
        anew = replace(each, models=tuple(replace(model) for model in each.models))
        for file in (None, budgets, replace(budgets, free=frozenset({"bedrock"}))):
            assert plan_text(each, {}, {}, {}, file) == plan_text(anew, {}, {}, {}, file)
