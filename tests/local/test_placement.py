"""Which hosts are real on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import pytest

from corral.local.placement import Placement, Simulate, Unreachable, past_proxy, place, unguarded
from corral.plan.plan import Plan
from tests.plan.world import AZURE, BEDROCK, DEEPINFRA, LAB, build

KEY = {"deepinfra": "sk-real"}


def nobody() -> bool:
    """Nobody is signed in to AWS."""
    return False


def plan_of(*hosts: str) -> Plan:
    shares = dict.fromkeys(hosts, 0) | {hosts[0]: 100}
    return build({"llama-3.3-70b": {"shares": shares, "fallback": list(hosts[1:])}})


@dataclass(frozen=True)
class Case:
    name: str
    mode: Simulate
    hosts: tuple[str, ...]
    keys: dict[str, str]
    placed: dict[str, str | None]
    """Per host why it is simulated."""
    unreachable: dict[str, str]
    signed_in: bool = False
    """To AWS."""


CASES = [
    Case("a host with a key is real", "withoutKey", ("deepinfra",), KEY, {"deepinfra": None}, {}),
    Case("… unless all are to be simulated", "always", ("deepinfra",), KEY, {"deepinfra": "asked for"}, {}),
    Case(
        "without a key it is simulated",
        "withoutKey",
        ("deepinfra",),
        {},
        {"deepinfra": "no key in DEEPINFRA_API_KEY"},
        {},
    ),
    Case(
        "an empty key is none",
        "withoutKey",
        ("deepinfra",),
        {"DEEPINFRA_API_KEY": ""},
        {"deepinfra": "no key in DEEPINFRA_API_KEY"},
        {},
    ),
    Case(
        "… or said to be missing",
        "never",
        ("deepinfra",),
        {},
        {},
        {"deepinfra": "deepinfra: no key in DEEPINFRA_API_KEY; set DEEPINFRA_API_KEY, or rehearse with --simulate"},
    ),
    Case("Bedrock is real with AWS credentials", "withoutKey", ("bedrock",), {}, {"bedrock": None}, {}, signed_in=True),
    Case("… simulated without", "withoutKey", ("bedrock",), {}, {"bedrock": "no AWS credentials"}, {}),
    Case(
        "… or said to have none",
        "never",
        ("bedrock",),
        {},
        {},
        {
            "bedrock": "bedrock: no AWS credentials; "
            "sign in to AWS (environment, profile or single sign-on), or rehearse with --simulate"
        },
    ),
    Case(
        "a host that is not provisioned yet has no URL",
        "never",
        ("azure", "deepinfra"),
        KEY | {"azure": "x"},
        {"deepinfra": None},
        {
            "azure": "azure: no url before it is provisioned; "
            "give its url under corral:hosts.azure, or rehearse with --simulate"
        },
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_host_is_real_simulated_or_out_of_reach(case: Case) -> None:
    placements, unreachable = place(plan_of(*case.hosts), case.mode, case.keys, lambda: case.signed_in)
    assert {host: placed.simulated for host, placed in placements.items()} == case.placed
    assert unreachable == tuple(Unreachable(host, message) for host, message in case.unreachable.items())


def test_a_placement_shows_no_key() -> None:
    placements, _ = place(plan_of("deepinfra"), "withoutKey", KEY, nobody)
    assert placements["deepinfra"] == Placement("deepinfra", None, "sk-real")
    assert "sk-real" not in repr(placements)


def test_a_host_that_wants_no_key_is_real_without_one() -> None:
    open_host = replace(LAB, credential=replace(LAB.credential, header=None, variable=None), share=100, weight=100)
    plan = plan_of("lab")
    plan = replace(plan, models=(replace(plan.models[0], targets=(open_host,)),))
    placements, _ = place(plan, "withoutKey", {}, nobody)
    assert placements["lab"].simulated is None


def test_bedrock_without_a_region_cannot_be_real() -> None:
    plan = plan_of("bedrock")
    plan = replace(plan, models=(replace(plan.models[0], targets=(replace(BEDROCK, region=None, url=None),)),))
    why = "no AWS region is named"
    way_out = "name it in corral:hosts.bedrock.region or aws:region, or rehearse with --simulate"
    assert place(plan, "never", {}, lambda: True) == ({}, (Unreachable("bedrock", f"bedrock: {why}; {way_out}"),))


def test_nobody_asks_for_aws_credentials_where_all_hosts_are_simulated() -> None:
    def asked() -> bool:
        raise AssertionError

    placements, _ = place(plan_of("bedrock"), "always", {}, asked)
    assert placements["bedrock"].simulated == "asked for"


def test_a_drained_host_is_not_placed_at_all() -> None:
    plan = build({"llama-3.3-70b": {"shares": {"deepinfra": 100, "azure": 0}}})
    placements, unreachable = place(plan, "never", KEY, nobody)
    assert (set(placements), unreachable) == ({"deepinfra"}, ())


def test_the_hosts_of_these_cases_are_what_they_are_taken_for() -> None:
    assert (AZURE.url, BEDROCK.protocol, DEEPINFRA.credential.variable) == (
        None,
        "bedrock-converse",
        "DEEPINFRA_API_KEY",
    )


def test_real_hosts_lack_a_guardrail_that_the_stack_gives_them():
    plan = build(
        {"llama-3.3-70b": {"shares": {"bedrock": 50, "deepinfra": 50}}},
        {"bedrock": {"region": "us-east-1", "guardrail": {}}},
        engine={"kind": "kubernetes"},
    )
    assert unguarded(plan, {"bedrock": None, "deepinfra": None}) == ["bedrock"]
    assert unguarded(plan, {"bedrock": "asked for", "deepinfra": None}) == []


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, []),
        ({"https_proxy": "http://proxy:3128"}, ["deepinfra", "other"]),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,.deepinfra.com"}, ["other"]),
        ({"http_proxy": "http://proxy:3128"}, ["lab"]),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "*"}, []),
    ],
)
def test_hosts_that_a_proxy_is_meant_for_and_envoy_calls_itself_are_named(
    environment: dict[str, str], named: list[str], monkeypatch: pytest.MonkeyPatch
):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    lab = {"kind": "openai", "url": "http://llm.lab:8000/v1", "models": {"llama-3.3-70b": "m"}, "auth": "none"}
    hosts = {"bedrock": {"region": "us-east-1"}, "deepinfra": {}, "lab": lab}
    hosts["other"] = lab | {"url": "https://llm.other.example.com/v1"}
    shares = {"bedrock": 25, "deepinfra": 25, "lab": 25, "other": 25}
    plan = build({"llama-3.3-70b": {"shares": shares}}, hosts)
    assert past_proxy(plan, dict.fromkeys(plan.live_hosts, None)) == named
    assert past_proxy(plan, dict.fromkeys(plan.live_hosts, "asked for")) == []
