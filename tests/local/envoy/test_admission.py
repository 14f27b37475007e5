"""What the gateway's first filter is told of callers and models."""

from __future__ import annotations

from dataclasses import replace

from corral.local.envoy.routes import context
from corral.plan.plan import Issuer, Plan, Rate, TenantPlan
from tests.plan.world import LLAMA, SCOUT, build

PLAN = build({LLAMA: {"shares": {"bedrock": 100}}, SCOUT: {"shares": {"bedrock": 100}}})
MODELS = {f"model:{LLAMA}": True, f"model:{SCOUT}": True}

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
    said = context(PLAN, {})
    assert said == {"version": said["version"], "open": {}, **MODELS}


def test_every_tenant_is_told_with_what_it_may_and_no_more_than_that() -> None:
    said = context(with_tenants(FREE, SEARCH, issuers=(LOGIN,)), {"aa": "search", "bb": "free"})
    assert said == {
        "version": said["version"],
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


def test_the_version_changes_with_whatever_is_told_and_with_nothing_else() -> None:
    def version(plan: Plan, keys: dict[str, str]) -> str:
        return context(plan, keys)["version"]

    base = version(with_tenants(FREE, SEARCH), {"aa": "search", "bb": "free"})
    assert version(with_tenants(FREE, SEARCH), {"bb": "free", "aa": "search"}) == base
    assert version(with_tenants(FREE, replace(SEARCH, concurrent=1)), {"aa": "search", "bb": "free"}) != base
    assert version(with_tenants(FREE, SEARCH), {"aa": "search"}) != base
    assert version(with_tenants(FREE, SEARCH), {"aa": "free", "bb": "search"}) != base


def test_no_key_is_in_it_but_as_its_hash() -> None:
    assert "key:bb" not in context(with_tenants(SEARCH), {"aa": "search"})
