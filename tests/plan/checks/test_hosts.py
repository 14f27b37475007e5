from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.hosts import hosts
from corral.plan.plan import Plan
from tests.plan.world import HOSTS, LLAMA, SCOUT, TODAY, build


def found_by(plan: Plan, *checks: str) -> tuple[Finding, ...]:
    """The findings whose names begin so."""
    return tuple(finding for finding in hosts(plan, TODAY) if finding.name.partition("/")[0] in checks)


PLACES = "us-east-1, us-east-2 or us-west-2"

NO_REGION = Finding(
    "error",
    "region/bedrock",
    "bedrock has no region to call",
    "set corral:hosts.bedrock.region, or aws:region for the whole stack",
)


@dataclass(frozen=True)
class Case:
    name: str
    hosts: dict[str, Any]
    models: dict[str, Any]
    want: tuple[Finding, ...]
    more: dict[str, Any] = field(default_factory=dict[str, Any])


def only(*hosts: str) -> dict[str, Any]:
    return {LLAMA: {"shares": {hosts[0]: 100}, "fallback": list(hosts[1:])}}


CASES = [
    Case("a URL, one that provisioning will give, or a region", {}, only("bedrock", "azure", "vllm", "lab"), ()),
    Case(
        "a host of one's own without a URL is named once for all its models",
        {"lab": {"kind": "openai", "models": {LLAMA: "a", SCOUT: "b"}}},
        {LLAMA: {"shares": {"lab": 100}}, SCOUT: {"shares": {"lab": 100}}},
        (
            Finding(
                "error",
                "url/lab",
                "lab has no URL, and nothing that is provisioned will give it one",
                "set corral:hosts.lab.url",
            ),
        ),
    ),
    Case(
        "so is a placeholder that has got an id and no URL",
        {"meta": {"models": {LLAMA: "a"}}},
        only("bedrock", "meta"),
        (
            Finding(
                "error",
                "url/meta",
                "meta has no URL, and nothing that is provisioned will give it one",
                "set corral:hosts.meta.url",
            ),
        ),
    ),
    Case("Bedrock without a region", {}, only("bedrock"), (NO_REGION,), {"region": None}),
    Case(
        "a URL is not enough for Bedrock",
        {"bedrock": {"url": "https://vpce.example.com"}},
        only("bedrock"),
        (NO_REGION,),
        {"region": None},
    ),
    Case(
        "Bedrock in a region that does not have the profile, for each model",
        {"bedrock": {"region": "eu-west-1"}},
        {LLAMA: {"shares": {"bedrock": 100}}, SCOUT: {"shares": {"bedrock": 100}}},
        (
            Finding(
                "error",
                f"region/{LLAMA}/bedrock",
                f"bedrock is called in eu-west-1, but us.meta.llama3-3 only in {PLACES}",
                f"set corral:hosts.bedrock.region to {PLACES}, or give an id that eu-west-1 has: "
                f"corral:hosts.bedrock.models.{LLAMA}",
            ),
            Finding(
                "error",
                f"region/{SCOUT}/bedrock",
                f"bedrock is called in eu-west-1, but us.meta.llama4-scout only in {PLACES}",
                f"set corral:hosts.bedrock.region to {PLACES}, or give an id that eu-west-1 has: "
                f"corral:hosts.bedrock.models.{SCOUT}",
            ),
        ),
    ),
    Case(
        "an id of one's own may be called from anywhere",
        {"bedrock": {"region": "eu-west-1", "models": {LLAMA: "eu.meta.llama3-3"}}},
        only("bedrock"),
        (),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_host_can_be_called(case: Case) -> None:
    assert found_by(build(case.models, case.hosts, **case.more), "region", "url") == case.want


def test_a_drained_host_is_noted_unless_it_is_a_fallback() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100, "azure": 0, "lab": 0}, "fallback": ["lab"]}})
    assert found_by(plan, "drained") == (
        Finding(
            "note",
            f"drained/{LLAMA}/azure",
            f"azure is drained for {LLAMA}: no request reaches it, not even when other hosts fail",
            f"give it a share, or take it out of corral:models.{LLAMA}.shares",
        ),
    )


def test_a_fallback_has_no_share() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 60, "meta": 40}, "fallback": ["lab", "meta", "bedrock"]}})
    assert found_by(plan, "fallback") == tuple(
        Finding(
            "error",
            f"fallback/{LLAMA}/{host}",
            f"{host} is a fallback of {LLAMA} and has a share of {share}",
            f"take it out of corral:models.{LLAMA}.fallback: what another sharing host fails, it gets anyway",
        )
        for host, share in (("bedrock", 60), ("meta", 40))
    )


@pytest.mark.parametrize(
    ("shares", "fallback", "want"),
    [
        ({"bedrock": 75, "azure": 25}, [], None),
        ({"bedrock": 90, "azure": 10}, ["vllm"], None),
        (
            {"bedrock": 80, "azure": 15, "vllm": 5},
            [],
            "azure and vllm must take its 80 of 100 requests for {} beside 20",
        ),
        ({"bedrock": 100, "azure": 0}, [], "nobody answers for {}: there is no fallback"),
    ],
)
def test_a_large_share_without_a_fallback_is_noted(
    shares: dict[str, int], fallback: list[str], want: str | None
) -> None:
    found = found_by(build({LLAMA: {"shares": shares, "fallback": fallback}}), "fallback")
    assert [(each.level, each.name) for each in found] == ([("note", f"fallback/{LLAMA}")] if want else [])
    assert all(want and want.format(LLAMA) in each.message for each in found)


def test_a_drained_host_may_be_a_fallback() -> None:
    assert found_by(build({LLAMA: {"shares": {"bedrock": 100, "lab": 0}, "fallback": ["lab"]}}), "fallback") == ()


def test_a_model_that_does_not_run_on_its_gpus_is_refused_even_when_drained():
    vllm = {"gpus": {"instance": "dgx", "min": 1, "max": 1}, "modelWeights": {LLAMA: "acme/own"}}
    plan = build({LLAMA: {"shares": {"lab": 100, "vllm": 0}}}, {"vllm": vllm})
    assert found_by(plan, "fit") == (
        Finding(
            "error",
            f"fit/{LLAMA}/vllm",
            "the GPUs of dgx are not known",
            "say how many a node has and how much memory each has (corral:hosts.vllm.gpus.count and .memory), or take "
            "an instance type that the catalog knows",
        ),
    )


def test_hosts_without_gpus_of_ones_own_are_not_looked_at():
    assert found_by(build({LLAMA: {"shares": {"bedrock": 60, "vllm": 40}}}), "fit") == ()


def guarded(shares: dict[str, int], said: dict[str, Any], engine: str = "local") -> Plan:
    return build({LLAMA: {"shares": shares}}, {"bedrock": {"region": "us-east-1", **said}}, engine={"kind": engine})


def test_on_one_machine_a_guardrail_is_said_to_be_missing() -> None:
    plan = guarded({"bedrock": 60, "deepinfra": 40}, {"guardrail": {}})
    assert found_by(plan, "guardrail") == (
        Finding(
            "warning",
            f"guardrail/{LLAMA}/bedrock",
            f"the local engine asks bedrock for {LLAMA} without a guardrail: that of "
            "corral:hosts.bedrock.guardrail is made by the kubernetes engine alone",
            "have AWS enforce one for the account (PutEnforcedGuardrailConfiguration) and take that key out, "
            "or accept it",
        ),
    )


@pytest.mark.parametrize(
    "plan",
    [
        guarded({"bedrock": 100}, {}),
        guarded({"bedrock": 0, "deepinfra": 100}, {"guardrail": {}}),
        guarded({"bedrock": 100}, {"guardrail": {}}, "kubernetes"),
    ],
    ids=["none is wanted", "drained", "a cluster makes it"],
)
def test_nothing_is_said_where_none_is_missing(plan: Plan) -> None:
    assert found_by(plan, "guardrail") == ()


def test_a_host_that_is_never_full_has_nobody_wait() -> None:
    for vllm, want in (
        ({"overflow": "wait 2s"}, 1),
        ({}, 0),
        ({"overflow": "wait 2s", "limits": {"concurrent": 9}}, 0),
        ({"overflow": "wait 2s", "limits": {"perModel": {LLAMA: {"concurrent": 9}}}}, 0),
    ):
        plan = build({LLAMA: {"shares": {"vllm": 100}}}, {"vllm": {**HOSTS["vllm"], **vllm}})
        assert (
            found_by(plan, "overflow")
            == (
                Finding(
                    "warning",
                    f"overflow/{LLAMA}/vllm",
                    f"no limit of vllm is known for {LLAMA}: it is never full, and no request waits for it",
                    "give corral:hosts.vllm.limits, or leave its overflow out",
                ),
            )
            * want
        )


def test_an_unknown_price_of_a_live_host_is_a_warning_and_of_ones_own_gpus_a_note() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 50, "vllm": 50}, "fallback": ["groq", "lab"]}})
    assert found_by(plan, "price") == (
        Finding(
            "note",
            f"price/{LLAMA}/vllm",
            f"the price of {LLAMA} at vllm is unknown: its GPUs cost by the hour, not by the token",
            f"give it in dollars per million tokens: corral:hosts.vllm.models.{LLAMA}.price",
        ),
        Finding(
            "warning",
            f"price/{LLAMA}/groq",
            f"the price of {LLAMA} at groq is unknown",
            "see whether `corral prices lock` finds it, or give it in dollars per million tokens: "
            f"corral:hosts.groq.models.{LLAMA}.price",
        ),
    )


def test_nobody_asks_for_the_price_of_a_drained_host_or_of_a_retired_model() -> None:
    plan = build(
        {
            LLAMA: {"shares": {"bedrock": 100, "groq": 0}},
            SCOUT: {"shares": {"bedrock": 100}, "fallback": ["groq"]},
        }
    )
    assert found_by(plan, "price") == ()


NODES = {"instance": "dgx", "count": 8, "memory": 80 * 2**30, "parallel": 4}


def scaled(most: int, **stack: Any) -> tuple[Finding, ...]:
    vllm = {"gpus": {**NODES, "min": 0, "max": most}, "modelWeights": {LLAMA: "acme/own"}}
    said = {"engine": {"kind": "kubernetes"}} | stack
    return found_by(build({LLAMA: {"shares": {"vllm": 60, "lab": 40}}}, {"vllm": vllm}, **said), "scaling")


def test_servers_that_nothing_counts_stay_as_many_as_they_are():
    assert scaled(most=2) == (
        Finding(
            "warning",
            f"scaling/{LLAMA}/vllm",
            f"vllm keeps 1 server of {LLAMA}, however many requests wait, and never has the 4 that its nodes could "
            "hold: they are not counted",
            "name the Prometheus that counts them, corral:cluster.prometheus, or lower corral:hosts.vllm.gpus.max to "
            "what is kept, or accept it",
        ),
    )


@pytest.mark.parametrize(
    "said",
    [{"cluster": {"prometheus": {"url": "http://prometheus:9090"}}}, {"engine": {"kind": "local"}}],
    ids=["counted", "on one machine"],
)
def test_nothing_is_said_where_servers_follow_the_queue_or_are_none_of_the_engines(said: dict[str, Any]):
    assert scaled(most=2, **said) == ()


def test_an_entry_that_rests_on_others_is_a_warning() -> None:
    plan = build({LLAMA: {"shares": {"bedrock": 100}, "fallback": ["deepinfra"]}})
    assert found_by(plan, "verified") == (
        Finding(
            "warning",
            f"verified/{LLAMA}/deepinfra",
            f"that deepinfra serves {LLAMA} as Llama-3.3-Turbo is not verified: "
            "the catalog has it from the host's page (2026-08-20)",
            "ask the host with `DEEPINFRA_API_KEY=… corral verify --stack prod`, then accept it",
        ),
    )


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"bedrock": 100, "deepinfra": 0}, {}),
        ({"deepinfra": 100}, {"models": {LLAMA: "mine"}}),
        ({"deepinfra": 100}, {"models": {LLAMA: {"lifecycle": {"retired": "2026-11-20"}}}}),
    ],
    ids=["drained", "the stack's own word", "retired"],
)
def test_nobody_doubts_what_no_request_reaches_or_the_stack_says(shares: dict[str, int], said: dict[str, Any]) -> None:
    assert found_by(build({LLAMA: {"shares": shares}}, {"deepinfra": said}), "verified") == ()


NO_TLS = Finding(
    "warning",
    "tls/lab",
    "the key of lab is sent to llm.example.com:8000 without TLS: whoever is on the way can read it",
    "give an https:// URL, corral:hosts.lab.url, or `auth: none` if it wants no key, or accept it",
)


@pytest.mark.parametrize(
    ("lab", "want"),
    [
        ({"url": "http://llm.example.com:8000/v1"}, (NO_TLS,)),
        ({"url": "http://llm.example.com:8000/v1", "auth": "none"}, ()),
        ({"url": "https://llm.example.com:8000/v1"}, ()),
        ({"url": "http://127.0.0.1:8000/v1"}, ()),
        ({"url": "http://[::1]:8000/v1"}, ()),
        ({"url": "http://localhost:8000/v1"}, ()),
        ({"url": "http://lab:8000/v1"}, ()),
        ({"url": "http://lab.models.svc:8000/v1"}, ()),
        ({"url": "http://lab.models.svc.cluster.local/v1"}, ()),
    ],
    ids=lambda each: each["url"] + each.get("auth", "") if isinstance(each, dict) else None,
)
def test_a_key_goes_over_no_network_without_tls(lab: dict[str, Any], want: tuple[Finding, ...]) -> None:
    hosts = {"lab": {"kind": "openai", "models": {LLAMA: "a", SCOUT: "b"}, **lab}}
    assert found_by(build({LLAMA: {"shares": {"lab": 100}}, SCOUT: {"shares": {"lab": 100}}}, hosts), "tls") == want
