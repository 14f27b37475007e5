from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.tenants import enforcement, listener, tenants
from corral.plan.plan import Listener
from tests.plan.world import HOSTS, LLAMA, SCOUT, build

KEYS = {"keys": [f"sha256:{'1' * 64}"]}
KEYS_OF_FREE = {"keys": [f"sha256:{'2' * 64}"]}
ISSUERS = [{"issuer": "https://login.example.com/", "audiences": ["corral"], "jwksFile": "keys.json"}]
ONE = {LLAMA: {"shares": {"bedrock": 100}}}


@dataclass(frozen=True)
class Case:
    name: str
    tenants: dict[str, Any]
    want: tuple[Finding, ...]
    models: dict[str, Any] = field(default_factory=lambda: {LLAMA: {"shares": {"vllm": 100}}})
    more: dict[str, Any] = field(default_factory=dict[str, Any])


def no_key(tenant: str, variable: str) -> Finding:
    return Finding(
        "note",
        f"tenant/{tenant}/keys",
        f"the stack has no key of {tenant}, nor an issuer that could vouch for it",
        f"make one with `corral key new {tenant}`, or give it by {variable}",
    )


CASES = [
    Case("one with a key", {"search": KEYS}, ()),
    Case("one for whom an issuer vouches", {"search": {}}, (), more={"issuers": ISSUERS}),
    Case(
        "ones that the stack has no key of",
        {"search": {}, "support-desk": {}},
        (no_key("search", "CORRAL_TENANT_SEARCH_KEYS"), no_key("support-desk", "CORRAL_TENANT_SUPPORT_DESK_KEYS")),
    ),
    Case("a cluster makes the keys", {"search": {}}, (), more={"engine": {"kind": "kubernetes"}}),
    Case(
        "a cluster cannot use a hash",
        {"search": KEYS},
        (
            Finding(
                "warning",
                "tenant/search/keys",
                "the kubernetes engine compares keys, not hashes: it takes none of corral:tenants.search.keys",
                "give the keys encrypted, corral:tenantKeys.search, or accept it if the hashes are for rehearsals",
            ),
        ),
        more={"engine": {"kind": "kubernetes"}},
    ),
    Case(
        "a residency that leaves a model no host, if the tenant may ask for it",
        {
            "search": {**KEYS, "residency": ["eu", "us-east-1"]},
            "support": {**KEYS, "models": [LLAMA], "residency": ["us-east-1"]},
        },
        (
            Finding(
                "error",
                f"tenant/search/{SCOUT}",
                f"no host of {SCOUT} is known to stay within eu and us-east-1, where requests of search are to be "
                "processed",
                f"name such a host under corral:models.{SCOUT}, take {SCOUT} out of corral:tenants.search.models, or "
                "widen corral:tenants.search.residency",
            ),
        ),
        models={LLAMA: {"shares": {"vllm": 100}}, SCOUT: {"shares": {"bedrock": 100}}},
    ),
    Case(
        "a residency that leaves a model fallbacks only; nobody knows where one of them is",
        {"search": {**KEYS, "residency": ["us-east-1", "eu"]}},
        (
            Finding(
                "warning",
                f"tenant/search/{LLAMA}",
                f"no sharing host of {LLAMA} is known to stay within eu and us-east-1: requests of search all go to "
                "lab, then vllm",
                "give a host within eu and us-east-1 a share, widen corral:tenants.search.residency, or accept it",
            ),
        ),
        models={LLAMA: {"shares": {"bedrock": 100}, "fallback": ["deepinfra", "lab", "vllm"]}},
    ),
    Case(
        "a drained host serves nobody",
        {"search": {**KEYS, "residency": ["us-east-1"]}},
        (
            Finding(
                "error",
                f"tenant/search/{LLAMA}",
                f"no host of {LLAMA} is known to stay within us-east-1, where requests of search are to be processed",
                f"name such a host under corral:models.{LLAMA}, take {LLAMA} out of corral:tenants.search.models, or "
                "widen corral:tenants.search.residency",
            ),
        ),
        models={LLAMA: {"shares": {"bedrock": 100, "vllm": 0}}},
    ),
    Case(
        "a model that nobody serves is not the residency's fault",
        {"search": {**KEYS, "residency": ["us-east-1"]}},
        (),
        models={LLAMA: {"shares": {"meta": 100}}},
    ),
    Case(
        "a body that the engine does not take",
        {"search": {**KEYS, "bodyLimit": "2Mi"}, "support": {**KEYS, "bodyLimit": "1Mi"}},
        (
            Finding(
                "warning",
                "tenant/search/bodyLimit",
                "search may send 2 MiB, but the engine takes 1 MiB",
                "lower corral:tenants.search.bodyLimit, or raise corral:engine.bodyLimit",
            ),
        ),
        more={"engine": {"bodyLimit": "1Mi"}},
    ),
    Case(
        "a budget, where all prices are known",
        {"search": {**KEYS, "budget": {"day": 3}}},
        (),
        models={LLAMA: {"shares": {"bedrock": 100}}, SCOUT: {"shares": {"vllm": 100}}},
        more={"hosts": {"bedrock": {}, "vllm": {"models": {SCOUT: {"id": "s", "price": {"input": 0, "output": 0}}}}}},
    ),
    Case(
        "a budget, where some price of what the tenant may ask for is unknown",
        {"search": {**KEYS, "budget": {"month": 3}, "models": [LLAMA]}, "free": KEYS_OF_FREE},
        (
            Finding(
                "error",
                "tenant/search/budget",
                "search has a budget, and it is unknown what its requests cost: the price of llama-3.3-70b at vllm is "
                "in no list",
                "see whether `corral prices lock` finds it, or give it in dollars per million tokens, "
                "corral:hosts.<host>.models.<model>.price; or take the model out of corral:tenants.search.models",
            ),
        ),
        models={LLAMA: {"shares": {"bedrock": 60, "vllm": 30, "lab": 10}}, SCOUT: {"shares": {"vllm": 100}}},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_tenant_is_known_and_served(case: Case) -> None:
    assert tuple(tenants(build(case.models, tenants=case.tenants, **case.more))) == case.want


REQUESTS = {"requestsPerMinute": 60}
TOKENS = {"perModel": {LLAMA: {"tokensPerMinute": "20k"}}}
MORE = {"concurrentRequests": 20, "priority": "high"}
BODY = {"bodyLimit": "1Mi"}

ENFORCED = [
    ("local", {"search": {}, "support": MORE | BODY}, []),
    ("local", {"search": {}, "support": REQUESTS}, ["enforced/local"]),
    ("local", {"search": TOKENS, "support": TOKENS}, ["enforced/tokensPerMinute", "enforced/local"]),
    ("kubernetes", {"search": {}}, []),
    ("kubernetes", {"search": REQUESTS}, ["enforced/kubernetes"]),
    ("kubernetes", {"search": TOKENS}, ["enforced/tokensPerMinute", "enforced/kubernetes"]),
    (
        "kubernetes",
        {"search": MORE | BODY, "support": MORE | BODY},
        ["enforced/concurrentRequests", "enforced/bodyLimit", "enforced/priority"],
    ),
    ("kubernetes", {"search": {"bodyLimit": "50Mi"}}, []),
]

UNENFORCED = ("enforced/concurrentRequests", "enforced/bodyLimit", "enforced/priority")
"""Not at all, instead of not to the letter."""


@pytest.mark.parametrize(("engine", "tenants", "want"), ENFORCED)
def test_what_an_engine_does_not_enforce_to_the_letter_is_noted_once(
    engine: str, tenants: dict[str, Any], want: list[str]
) -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100}}}, tenants=tenants, engine={"kind": engine})
    levels = {name: "warning" if name in UNENFORCED else "note" for name in want}
    assert [(finding.level, finding.name) for finding in enforcement(plan)] == [(levels[name], name) for name in want]


def test_on_a_cluster_no_request_is_copied() -> None:
    models = {LLAMA: {"shares": {"bedrock": 100, "vllm": 0}, "mirror": {"to": "vllm", "percent": 5}}}
    assert [*enforcement(build(models, engine={"kind": "local"}))] == []
    assert [*enforcement(build(models, engine={"kind": "kubernetes"}))] == [
        Finding(
            "warning",
            "enforced/mirror",
            f"on a cluster no request is copied: the mirror of {LLAMA} is for the local engine",
            "leave it out, or accept it",
        )
    ]


def test_on_a_cluster_no_session_keeps_its_host() -> None:
    models = {LLAMA: {"shares": {"vllm": 100}, "affinity": "prompt"}, SCOUT: {"shares": {"bedrock": 100}}}
    assert [*enforcement(build(models, engine={"kind": "local"}))] == []
    assert [*enforcement(build(models, engine={"kind": "kubernetes"}))] == [
        Finding(
            "warning",
            "enforced/affinity",
            f"on a cluster each request goes to any host, by the shares: sessions of {LLAMA} keep none",
            "leave out affinity, or accept it",
        )
    ]


def test_on_a_cluster_no_request_waits_for_a_host_that_is_full() -> None:
    hosts = {**HOSTS, "vllm": {**HOSTS["vllm"], "overflow": "wait 2s"}}
    for engine in ("local", "kubernetes"):
        found = [*enforcement(build({LLAMA: {"shares": {"vllm": 100}}}, hosts, engine={"kind": engine}))]
        assert found == [
            Finding(
                "warning",
                "enforced/overflow",
                "on a cluster no request waits for a host that is full: overflow of vllm is for the local engine",
                "leave it out, or accept it",
            )
        ] * (engine == "kubernetes")


def test_on_a_cluster_the_tokens_that_cost_no_more_than_a_budget_are_named() -> None:
    plan = build(
        {LLAMA: {"shares": {"vllm": 100}}, SCOUT: {"shares": {"bedrock": 100}}},
        tenants={
            "desk": {"budget": {"day": 0.0001}, "models": [SCOUT]},
            "free": {},
            "search": {"budget": {"day": 300, "month": 4_000}, "models": [SCOUT]},
            "support": {"budget": {"month": 4_000}},
        },
        engine={"kind": "kubernetes"},
    )
    price = plan.models[1].targets[0].price
    assert price
    quota = 4_000 * 10**12 // (max(price.input, price.output) * 31 * 1_440)
    assert list(enforcement(plan)) == [
        Finding(
            "warning",
            "enforced/budget",
            "the kubernetes engine counts tokens, not money: the budget of a tenant is for the local engine",
            f"set the tokensPerMinute that cannot cost more (desk: less than 1; search: {quota:,}; "
            "support: its prices are unknown), or accept it",
        )
    ]


def test_on_a_cluster_tokens_are_all_that_callers_of_issuers_can_come_with() -> None:
    issuer = {"issuer": "https://login.example.com/", "audiences": ["corral"], "jwks": "https://login.example.com/keys"}
    plan = build(
        {LLAMA: {"shares": {"bedrock": 100}}},
        tenants={"search": {}},
        issuers=[issuer],
        engine={"kind": "kubernetes"},
    )
    assert [finding.name for finding in enforcement(plan)] == ["enforced/issuers"]


@pytest.mark.parametrize(("engine", "want"), [("local", []), ("kubernetes", ["enforced/concurrentRequests"])])
def test_a_cluster_does_not_limit_what_is_under_way_in_all_either(engine: str, want: list[str]) -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100}}}, engine={"kind": engine, "concurrentRequests": 500})
    assert [finding.name for finding in enforcement(plan)] == want


@pytest.mark.parametrize(
    ("engine", "shares", "want"),
    [
        ("kubernetes", {"bedrock": 60, "vllm": 40}, "vllm has room for"),
        ("kubernetes", {"azure": 30, "bedrock": 30, "vllm": 40}, "azure and vllm have room for"),
        ("kubernetes", {"vllm": 100}, None),
        ("local", {"bedrock": 60, "vllm": 40}, None),
    ],
)
def test_a_cluster_does_not_count_what_hosts_have_room_for(engine: str, shares: dict[str, int], want: str | None):
    hosts = {"vllm": {**HOSTS["vllm"], "limits": {"concurrent": 128}}}
    found = [*enforcement(build({LLAMA: {"shares": shares}}, hosts, engine={"kind": engine}))]
    assert [(each.level, each.name) for each in found] == ([("note", "enforced/limits")] if want else [])
    assert all(f"does not count what {want}: a full host is asked" in each.message for each in found)


def test_a_stack_without_tenants_has_nothing_to_enforce() -> None:
    for engine in ("local", "kubernetes"):
        assert list(enforcement(build({LLAMA: {"shares": {"bedrock": 100}}}, engine={"kind": engine}))) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_listener_on_loopback_needs_no_tls(address: str) -> None:
    assert tuple(listener(build(ONE, engine={"address": address}))) == ()


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7"])
def test_a_listener_beyond_loopback_without_tls_is_a_warning(address: str) -> None:
    plan = build(ONE, tenants={"search": KEYS}, engine={"address": address})
    assert tuple(listener(plan)) == (
        Finding(
            "warning",
            "listener/tls",
            f"the local engine listens on {address} without TLS: whoever is on the way can read keys and prompts",
            "give corral:engine.certificate, put TLS in front of it, listen on loopback, or accept it",
        ),
    )
    assert tuple(listener(replace(plan, listener=Listener(address, tls=True)))) == ()
    assert tuple(listener(build(ONE, engine={"address": address, "kind": "kubernetes"}))) == ()
