"""How the adapter is told of a plan's hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corral.hosts.adapted.description import AdaptedHost, AdaptedModel, AwsKey, BedrockHost, ReplicateHost
from corral.local.placement import adapted_host, needs_adapter
from corral.local.sidecars import with_former
from corral.plan.plan import Plan, Target
from corral.simulated.hosts import SimulatedHost, simulated_hosts
from tests.plan.world import BEDROCK, DEEPINFRA, build

REPLICATE = replace(
    DEEPINFRA, host="replicate", protocol="replicate", url="https://api.replicate.com/v1", model_id="meta/llama"
)


def plan_of(target: Target) -> Plan:
    plan = build({"llama-3.3-70b": {"shares": {"bedrock": 100}}})
    return replace(plan, models=(replace(plan.models[0], targets=(target,)),))


def simulated(target: Target) -> SimulatedHost:
    (host,) = simulated_hosts(plan_of(target), [target.host], {target.host: "a-key"})
    return host


def bedrock(url: str, key: AwsKey | None) -> BedrockHost:
    limits = plan_of(BEDROCK).request_settings
    return BedrockHost(
        name="bedrock",
        url=url,
        ca=None,
        connect_timeout=limits.connect_timeout,
        idle_timeout=limits.idle_timeout,
        models={BEDROCK.model_id: AdaptedModel(streaming=True, tools=True, tools_while_streaming=False, vision=False)},
        region=BEDROCK.region or "",
        key=key,
    )


def replicate(url: str, key: str, ca: str | None) -> ReplicateHost:
    limits = plan_of(REPLICATE).request_settings
    model = AdaptedModel(output=REPLICATE.output, **REPLICATE.takes.model_dump())
    return ReplicateHost(
        name="replicate",
        url=url,
        ca=ca,
        connect_timeout=limits.connect_timeout,
        idle_timeout=limits.idle_timeout,
        models={"meta/llama": model},
        key=key,
    )


@pytest.mark.parametrize(
    ("target", "stand_in", "key", "ca", "want"),
    [
        (BEDROCK, None, None, None, bedrock(BEDROCK.url or "", None)),
        (
            BEDROCK,
            simulated(BEDROCK),
            None,
            None,
            bedrock("http://127.0.0.1:9/bedrock", AwsKey(id="simulated", secret="a-key")),
        ),
        (REPLICATE, None, "r8", "/ca.pem", replicate("https://api.replicate.com/v1", "r8", "/ca.pem")),
        (REPLICATE, simulated(REPLICATE), None, None, replicate("http://127.0.0.1:9/replicate/v1", "a-key", None)),
    ],
    ids=["bedrock", "bedrock, simulated", "replicate", "replicate, simulated"],
)
def test_a_host_is_told_with_its_address_and_its_key(
    target: Target, stand_in: SimulatedHost | None, key: str | None, ca: str | None, want: AdaptedHost
):
    assert needs_adapter(target)
    assert adapted_host(plan_of(target), target.host, stand_in, 9, key, ca) == want


def test_no_key_shows():
    hosts = (bedrock("u", AwsKey(id="an-id", secret="a-secret")), replicate("u", "a-secret", None))
    assert "a-secret" not in repr(hosts)


def test_envoy_speaks_with_the_others_itself():
    assert not needs_adapter(DEEPINFRA)


def test_former_hosts_and_models_stay_beside_the_new_ones():
    before, after = (
        bedrock("before", None),
        bedrock("after", None).model_copy(update={"models": {"new": AdaptedModel()}}),
    )
    gone = replicate("u", "k", None)
    merged = after.model_copy(update={"models": {**before.models, **after.models}})
    assert with_former({"bedrock": before, "replicate": gone}, [after]) == {"bedrock": merged, "replicate": gone}
    assert with_former({}, [after]) == {"bedrock": after}
