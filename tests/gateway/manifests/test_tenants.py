"""What tenants may ask for, how much, of which hosts, and by which key or token."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.config.cluster import Gateway
from corral.gateway.manifests.hosts import host_resources
from corral.gateway.manifests.render import render
from corral.gateway.manifests.tenants import Caller, callers, groups, key_names
from corral.gateway.names import object_name
from corral.plan.callers import Issuer, Rate
from corral.plan.plan import Plan
from corral.plan.tenants import served_to
from corral.testing.schemas import faults
from tests.gateway.manifests.plans import (
    API_KEY,
    GATEWAY,
    SIGNED,
    endpoint,
    in_regions,
    inputs,
    model,
    plan,
    plans,
    share_edits,
    tenant,
    with_tenants,
)
from tests.kubernetes import crds

GATEWAY_TARGET = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "corral"}

KEYS = {
    "credentialRefs": [{"group": "", "kind": "Secret", "name": "tenants"}],
    "extractFrom": [{"headers": ["Authorization"]}],
    "forwardClientIDHeader": "x-corral-tenant",
    "sanitize": True,
}

ISSUER = Issuer("https://login.example.com/", ("corral",), "https://login.example.com/keys", None, "realm.team")
OTHER = Issuer("https://in.the.cluster", ("corral", "tests"), None, "keys.json", "sub")

LOGGED = ["InputToken", "CachedInputToken", "OutputToken", "ReasoningToken"]


def rendered(
    plan: Plan, keys: dict[str, int] | None = None, jwks: dict[str, str] | None = None, gateway: Gateway = GATEWAY
) -> dict[str, Any]:
    resources = render(inputs(plan, gateway=gateway, key_counts=keys or {}, issuer_keys=jwks or {}))
    return {key: resource.manifest for key, resource in resources.items()}


def allowed(**headers: list[str]) -> dict[str, Any]:
    named = {"tenant": "x-corral-tenant", "model": "x-ai-eg-model"}
    principal = {"headers": [{"name": named[name], "values": values} for name, values in headers.items()]}
    return {"action": "Allow", "principal": principal}


LLAMA, SCOUT = model("llama", {"a": 60, "b": 40}, ["c"]), model("scout", {"b": 100})


def test_who_may_ask_for_everything_needs_a_key_and_no_more():
    served = plan(LLAMA, SCOUT, tenants=[tenant("search", "llama", "scout"), tenant("support", "llama", "scout")])
    assert rendered(served, {"search": 3})["access"]["spec"] == {"targetRefs": [GATEWAY_TARGET], "apiKeyAuth": KEYS}


def test_who_may_ask_for_some_models_is_allowed_these_and_everybody_else_nothing_unknown():
    tenants = [tenant("bound", "scout"), tenant("free", "llama", "scout"), tenant("tied", "llama")]
    assert rendered(plan(LLAMA, SCOUT, tenants=tenants), {"free": 2, "tied": 2})["access"]["spec"] == {
        "targetRefs": [GATEWAY_TARGET],
        "apiKeyAuth": KEYS,
        "authorization": {
            "defaultAction": "Deny",
            "rules": [
                allowed(tenant=["free", "free.2"]),
                {**allowed(tenant=["bound", "tied", "tied.2"]), "operation": {"methods": ["GET"]}},
                allowed(tenant=["bound"], model=["scout"]),
                allowed(tenant=["tied", "tied.2"], model=["llama"]),
            ],
        },
    }


def test_more_models_than_a_rule_holds_are_allowed_by_several():
    names = [f"m{number:03}" for number in range(300)]
    served = plan(*(model(name, {"a": 100}) for name in names), tenants=[tenant("bound", *names[:257])])
    rules = rendered(served)["access"]["spec"]["authorization"]["rules"]
    assert rules[1:] == [allowed(tenant=["bound"], model=names[:256]), allowed(tenant=["bound"], model=names[256:257])]


def test_a_token_names_its_tenant_by_the_claim_of_its_issuer_and_no_key_is_needed():
    tenants = [tenant("search", "llama", claims=("rank", "search")), tenant("support", "llama", claims=("support",))]
    served = rendered(plan(LLAMA, tenants=tenants, issuers=[OTHER, ISSUER]), jwks={OTHER.issuer: '{"keys":[]}'})
    header = "x-corral-tenant"
    assert served["access"]["spec"] == {
        "targetRefs": [GATEWAY_TARGET],
        "jwt": {
            "providers": [
                {
                    "name": object_name("https://in.the.cluster"),
                    "issuer": "https://in.the.cluster",
                    "audiences": ["corral", "tests"],
                    "localJWKS": {"type": "Inline", "inline": '{"keys":[]}'},
                    "claimToHeaders": [{"claim": "sub", "header": header}],
                },
                {
                    "name": object_name("https://login.example.com/"),
                    "issuer": "https://login.example.com/",
                    "audiences": ["corral"],
                    "remoteJWKS": {"uri": "https://login.example.com/keys"},
                    "claimToHeaders": [{"claim": "realm.team", "header": header}],
                },
            ]
        },
        "authorization": {
            "defaultAction": "Deny",
            "rules": [allowed(tenant=["rank", "search", "support"])],
        },
    }


@pytest.mark.parametrize(
    ("differing", "kept"),
    [
        ({}, []),
        (SIGNED, []),
        ({"credential": API_KEY}, ["authorization"]),
        ({"credential": None}, ["authorization"]),
    ],
    ids=["a bearer token of its own", "signed", "a key elsewhere", "no key"],
)
def test_a_callers_token_never_gets_to_a_host(differing: dict[str, Any], kept: list[str]):
    removed = [
        host_resources(inputs(plan(issuers=issuers)), endpoint("lab", "llama", **differing))[
            "service/lab/llama"
        ].manifest["spec"]["headerMutation"]["remove"]
        for issuers in ((), (ISSUER,))
    ]
    assert removed == [removed[0], [*removed[0], *kept]]


def test_the_tenants_name_stays_in_a_request_whose_tokens_are_counted_when_its_answer_ends():
    def removed(rate: Rate) -> list[str]:
        served = rendered(plan(LLAMA, tenants=[tenant("search", "llama", rate=rate)]))
        return served["service/a/llama"]["spec"]["headerMutation"]["remove"]

    assert removed(Rate(requests=1)) == ["x-corral-tenant", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
    assert removed(Rate(tokens=1)) == ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]


def counted(value: str, most: int, *headers: dict[str, str], **cost: Any) -> dict[str, Any]:
    called = {"type": "RegularExpression", "name": "x-corral-tenant", "value": value}
    return {
        "clientSelectors": [{"headers": [called, *headers]}],
        "shared": True,
        "limit": {"requests": most, "unit": "Minute"},
        **cost,
    }


def test_limits_are_counted_by_tenant_and_by_tenant_and_model_whatever_key_is_used():
    tenants = [
        tenant("free", "llama", "scout"),
        tenant(
            *("search", "llama", "scout"),
            rate=Rate(requests=600, tokens=200_000),
            rates=(("llama", Rate(tokens=20_000)), ("scout", Rate(requests=60))),
        ),
    ]
    served = rendered(plan(LLAMA, SCOUT, tenants=tenants))
    used = {"namespace": "io.envoy.ai_gateway", "key": "total_tokens"}
    cost = {
        "request": {"from": "Number", "number": 0},
        "response": {"from": "Metadata", "metadata": used},
    }
    exact = {"type": "Exact", "name": "x-ai-eg-model"}
    search = "search([.][0-9]+)?"
    assert served["limits"]["spec"] == {
        "targetRefs": [GATEWAY_TARGET],
        "rateLimit": {
            "global": {
                "rules": [
                    counted(search, 600),
                    counted(search, 200_000, cost=cost),
                    counted(search, 20_000, {**exact, "value": "llama"}, cost=cost),
                    counted(search, 60, {**exact, "value": "scout"}),
                ]
            }
        },
    }
    assert counts(served) == [*LOGGED, "TotalToken"]
    assert {key: served[key]["spec"].get("mergeType") for key in served if key.startswith("retries")} == {
        "retries/llama": "StrategicMerge",
        "retries/scout": "StrategicMerge",
    }


def counts(served: dict[str, dict[str, Any]]) -> list[str]:
    return [cost["type"] for cost in served["processor"]["spec"].get("globalLLMRequestCosts", [])]


def test_without_limits_tokens_are_counted_for_the_log_alone_and_no_policy_is_merged():
    served = rendered(plan(LLAMA, tenants=[tenant("free", "llama", concurrent=3, body_limit=9, priority="high")]))
    merged = [key for key, each in served.items() if "mergeType" in each["spec"]]
    assert ("limits" in served, merged, counts(served)) == (
        False,
        [],
        LOGGED,
    )


def test_limits_of_requests_do_not_ask_for_the_sum_of_tokens():
    served = rendered(plan(LLAMA, tenants=[tenant("search", "llama", rate=Rate(requests=1))]))
    assert ("limits" in served, counts(served)) == (
        True,
        LOGGED,
    )


@pytest.mark.parametrize(("rate", "want"), [(Rate(), []), (Rate(tokens=1), ["TotalToken"])])
def test_tokens_can_be_counted_for_limits_alone(rate: Rate, want: list[str]):
    served = plan(LLAMA, tenants=[tenant("search", "llama", rate=rate)])
    assert counts(rendered(served, gateway=Gateway(count_tokens=False))) == want


EAST, WEST = frozenset({"east"}), frozenset({"west"})
PLACED = in_regions(LLAMA, {"a": "east", "b": "west", "c": "west"})


def matches(rule: dict[str, Any]) -> dict[str, str]:
    (match,) = rule["matches"]
    return {f"{header['type']} {header['name']}": header["value"] for header in match["headers"]}


def hosts(rule: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(ref["modelNameOverride"], ref["weight"], ref["priority"]) for ref in rule["backendRefs"]]


def test_tenants_whom_other_hosts_serve_have_rules_of_their_own_and_a_caller_of_no_rule_is_served_by_none():
    tenants = [
        tenant("anywhere", "llama"),
        tenant("east", "llama", allowed_regions=EAST),
        tenant("elsewhere", "scout", allowed_regions=EAST),
        tenant("far", "llama", allowed_regions=WEST),
        tenant("west", "llama", allowed_regions=WEST),
    ]
    rules = rendered(plan(PLACED, tenants=tenants))["route/llama"]["spec"]["rules"]
    key, regular = "([.][0-9]+)?", "RegularExpression x-corral-tenant"
    assert [(rule["name"], matches(rule), hosts(rule)) for rule in rules] == [
        (
            "model",
            {"Exact x-ai-eg-model": "llama", regular: f"anywhere{key}"},
            [("llama at a", 60, 0), ("llama at b", 40, 0), ("llama at c", 100, 1)],
        ),
        (
            "residency-1",
            {"Exact X-Ai-Eg-Model": "llama", regular: f"east{key}"},
            [("llama at a", 60, 0)],
        ),
        (
            "residency-2",
            {"Exact X-Ai-Eg-Model": "llama", regular: f"far{key}|west{key}"},
            [("llama at b", 40, 0), ("llama at c", 100, 1)],
        ),
    ]


def test_residency_that_leaves_every_host_changes_nothing():
    free, bound = ([tenant("one", "llama", allowed_regions=regions)] for regions in (None, EAST | WEST))
    assert rendered(plan(PLACED, tenants=free)) == rendered(plan(PLACED, tenants=bound))


def test_each_rule_is_tried_again_as_often_as_its_own_hosts_allow():
    tenants = [tenant("all", "llama"), tenant("east", "llama", allowed_regions=EAST)]
    fallback_alone = in_regions(
        model("llama", {"a": 60, "b": 40}, ["c", "d"]), dict.fromkeys("ab", "west") | {"c": "east", "d": "east"}
    )
    served = rendered(plan(fallback_alone, tenants=tenants))
    name = served["route/llama"]["metadata"]["name"]
    attempts = {
        key: (
            each["metadata"]["name"],
            each["spec"]["targetRefs"][0].get("sectionName"),
            each["spec"]["retry"]["numAttemptsPerPriority"],
            each["spec"]["retry"]["numRetries"],
        )
        for key, each in served.items()
        if key.startswith("retries")
    }
    assert attempts == {"retries/llama": (name, None, 2, 4), "retries/llama/1": (f"{name}-1", "residency-1", 1, 1)}


def test_a_route_is_another_one_when_the_hosts_of_a_rule_are_others_and_the_same_when_tenants_change_rules():
    def route(*tenants: Any) -> str:
        return rendered(plan(PLACED, tenants=tenants))["route/llama"]["metadata"]["name"]

    one, two = tenant("one", "llama"), tenant("two", "llama", allowed_regions=EAST)
    moved = route(replace(one, allowed_regions=EAST), replace(two, allowed_regions=None))
    other = route(one, replace(two, allowed_regions=WEST))
    assert (route(one, two) == moved, len({route(one), route(one, two), other})) == (True, 3)


def test_a_patch_sets_no_rule_of_its_own_route_aside():
    tenants = [tenant("all", "llama"), tenant("east", "llama", allowed_regions=EAST)]
    served = rendered(plan(PLACED, tenants=tenants))
    name = served["route/llama"]["metadata"]["name"]
    (patch,) = served["succession/llama"]["spec"]["jsonPatches"]
    assert re.findall(r"@[.]name != '([^']+)'", patch["operation"]["jsonPath"]) == [
        f"httproute/corral/{name}/rule/{rule}/match/0/*" for rule in (0, 1)
    ]


def test_keys_are_named_after_their_tenant():
    assert key_names("search", 3) == ("search", "search.2", "search.3")


def test_a_key_to_come_is_its_tenants_from_the_moment_it_is_there_and_no_other_tenants():
    one = callers(plan(tenants=[tenant("search"), tenant("search-2")]), {"search": 2})
    assert one["search"] == Caller(("search", "search.2"), "search([.][0-9]+)?")
    matched = [
        name
        for name in ("search", "search.2", "search.17", "search-2", "search.", "xsearch", "search.a")
        if re.fullmatch(one["search"].pattern, name)
    ]
    assert matched == ["search", "search.2", "search.17"]


def test_a_claim_is_matched_to_the_letter():
    served = plan(tenants=[tenant("search", claims=("a.b|c", "team/search-1"))], issuers=[ISSUER])
    pattern = callers(served, {})["search"].pattern
    assert [value for value in ("a.b|c", "team/search-1", "aXb|c", "a.b", "c") if re.fullmatch(pattern, value)] == [
        "a.b|c",
        "team/search-1",
    ]


@given(plan=plans().flatmap(with_tenants))
def test_every_tenant_reaches_exactly_the_hosts_that_it_may(plan: Plan):
    calling = callers(plan, {})
    for one in plan.models:
        rules = rendered(plan)[f"route/{one.name}"]["spec"]["rules"]
        for who in plan.tenants:
            if one.name not in who.models:
                continue
            (met,) = [
                rule
                for rule in rules
                for pattern in [matches(rule).get("RegularExpression x-corral-tenant", ".*")]
                if all(re.fullmatch(pattern, value) for value in calling[who.name].values)
            ]
            want = served_to(one, who)
            assert hosts(met) == [
                (f"{one.name} at {to.host}", to.weight, to.priority)
                for to in sorted(want.targets, key=lambda to: to.host)
            ]


@given(plan=plans().flatmap(with_tenants))
def test_who_is_served_by_all_hosts_comes_first(plan: Plan):
    for one in plan.models:
        ordered = groups(one, plan)
        every = tuple(sorted(to.host for to in one.targets))
        assert all(group.hosts != every for group in ordered[1:])


@st.composite
def edits_with_tenants(draw: st.DrawFn) -> tuple[Plan, Plan, str]:
    before, after, edited = draw(share_edits())
    with_regions = draw(with_tenants(before))
    regions = {to.host: to.reaches for one in with_regions.models for to in one.targets}
    models = tuple(
        replace(one, targets=tuple(replace(to, reaches=regions[to.host]) for to in one.targets)) for one in after.models
    )
    return with_regions, replace(after, models=models, tenants=with_regions.tenants), edited


@given(edit=edits_with_tenants())
def test_a_share_edit_changes_the_route_of_its_model_and_nothing_else_whatever_tenants_there_are(
    edit: tuple[Plan, Plan, str],
):
    before, after, edited = edit
    was, now = rendered(before), rendered(after)
    changed = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    assert changed == ([] if before == after else [f"route/{edited}"])


@crds.needed
@given(plan=plans().flatmap(with_tenants))
def test_what_tenants_are_rendered_to_fits_its_definitions(plan: Plan):
    refused = [fault for each in rendered(plan, {"a": 2}).values() for fault in faults(each) or []]
    assert refused == []


@crds.needed
def test_what_issuers_are_rendered_to_fits_its_definitions():
    served = plan(LLAMA, tenants=[tenant("a", "llama", claims=("x", "y"))], issuers=[ISSUER, OTHER])
    assert faults(rendered(served, jwks={OTHER.issuer: "{}"})["access"]) == []
