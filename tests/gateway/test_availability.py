"""Which hosts a route names where not all can be had: by what is there, what has failed, and what was there before."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

import pulumi
import pytest
from pulumi.dynamic.dynamic import PROVIDER_KEY, serialize_provider

from corral.gateway.availability import RoutedHostsProvider, routed_hosts
from corral.hosts.failures import HostFailures
from corral.plan.callers import TenantPlan
from corral.testing import World, run
from tests.gateway.manifests.plans import model, plan, tenant
from tests.gateway.test_component import program

LLAMA = model("llama", {"azure": 50, "vllm": 50}, ["lab", "other"])


@pytest.mark.parametrize(
    ("before", "wanted", "ready", "want"),
    [
        ([], ["a", "b"], ["a", "b"], (["a", "b"], False)),
        ([], ["a", "b"], ["b"], (["b"], False)),
        ([], ["a", "b"], [], ([], False)),
        (["a"], ["a", "b"], ["a"], (["a"], False)),
        (["a"], ["a", "b"], [], (["a"], False)),
        (["a", "b"], ["a", "b"], ["b"], (["a", "b"], False)),
        (["a", "b"], ["b"], ["b"], (["b"], False)),
        (["a", "b"], ["b", "c"], ["b", "c"], (["b", "c"], False)),
        (["a", "b"], ["b", "c"], ["b"], (["a", "b"], True)),
        (["a"], ["b"], [], (["a"], True)),
    ],
    ids=[
        "a first route with all",
        "a first route without one that is missing",
        "a first route with none",
        "one that comes and is missing",
        "one that comes is missing while another changes",
        "one that was there before and is not ready",
        "one that leaves",
        "one in place of another",
        "one in place of another, missing",
        "the only one in place of another, missing",
    ],
)
def test_a_route_names_the_hosts_that_are_there_or_were_and_stays_where_a_successor_is_missing(
    before: Sequence[str], wanted: Sequence[str], ready: Sequence[str], want: tuple[list[str], bool]
):
    assert routed_hosts(before, wanted, ready) == want


def test_the_hosts_of_a_route_are_remembered_from_one_up_to_the_next():
    provider, both = RoutedHostsProvider(), {"wanted": ["a", "b"], "ready": ["a", "b"]}
    first = provider.create({"wanted": ["a"], "ready": ["a"]}).outs or {}
    assert first == {"wanted": ["a"], "ready": ["a"], "hosts": ["a"], "kept": False}
    kept = provider.update("hosts", first, {"wanted": ["b"], "ready": []}).outs or {}
    assert kept == {"wanted": ["b"], "ready": [], "hosts": ["a"], "kept": True}
    added = provider.update("hosts", kept, both).outs or {}
    assert added == {**both, "hosts": ["a", "b"], "kept": False}
    changed = [provider.diff("hosts", added, now).changes for now in (both, both | {"ready": []}, {PROVIDER_KEY: "x"})]
    assert changed == [False, True, True]


def test_the_state_keeps_of_the_provider_its_name_alone():
    pickled = base64.b64decode(serialize_provider(RoutedHostsProvider()))
    assert (b"corral.gateway.availability" in pickled, len(pickled) < 200) == (True, True)


def without(**reasons: str) -> World:
    """A preview of the gateway of LLAMA where these hosts have failed, which an update would end with."""

    def failing() -> None:
        failures = HostFailures(0)
        for host, reason in reasons.items():
            failures.report(host, reason)
        program(plan(LLAMA), failures=failures)

    return run(failing, preview=True)


def targets(world: World) -> list[tuple[str, int, int]]:
    """The hosts of the only route, each with its weight and priority."""
    (route,) = world.of_type("AIGatewayRoute")
    (rule,) = route.inputs["spec"]["rules"]
    return [(ref["name"].split("-")[0], ref["weight"], ref["priority"]) for ref in rule["backendRefs"]]


@pytest.mark.parametrize(
    ("missing", "want"),
    [
        ((), [("azure", 50, 0), ("lab", 100, 1), ("other", 100, 2), ("vllm", 50, 0)]),
        (("vllm",), [("azure", 50, 0), ("lab", 100, 1), ("other", 100, 2)]),
        (("lab",), [("azure", 50, 0), ("other", 100, 1), ("vllm", 50, 0)]),
        (("azure", "vllm"), [("lab", 100, 0), ("other", 100, 1)]),
    ],
    ids=["none", "a sharing host", "a fallback", "all sharing hosts"],
)
def test_the_hosts_that_are_there_have_the_shares_of_those_that_are_missing(
    missing: Sequence[str], want: list[tuple[str, int, int]]
):
    assert targets(without(**dict.fromkeys(missing, "no quota"))) == want


def test_a_host_that_is_missing_is_named_with_the_reason_who_serves_and_what_comes_next():
    world = without(vllm="there is\n  no quota.")
    (text,) = (text for level, text in world.messages if level == "warning")
    assert text == (
        "vllm is missing: there is no quota. llama is served by azure, lab and other. The next `pulumi up -s test` "
        "adds it; with a share of 0 nothing waits for it"
    )


def test_a_model_without_any_host_has_no_route_and_its_objects_are_there_for_the_next_up():
    world = without(azure="a", vllm="b", lab="c", other="d")
    assert world.of_type("AIGatewayRoute") == ()
    assert len(world.of_type("AIServiceBackend")) == 4
    assert {text.partition(". ")[2] for level, text in world.messages if level == "warning"} == {
        "llama has no other host. The next `pulumi up -s test` adds it; with a share of 0 nothing waits for it"
    }


def test_a_tenant_whose_residency_allows_none_of_the_hosts_that_are_there_is_not_served_elsewhere():
    placed = replace(LLAMA, targets=tuple(replace(each, reaches=(f"at-{each.host}",)) for each in LLAMA.targets))
    bound = tenant("bound", "llama", residency=("at-vllm",), allowed_regions=frozenset({"at-vllm"}))

    def callers(*tenants: TenantPlan) -> list[list[str]]:
        def failing() -> None:
            failures = HostFailures(0)
            failures.report("vllm", "no quota")
            program(plan(placed, tenants=tenants), failures=failures)

        rules = [each.inputs["spec"]["rules"] for each in run(failing, preview=True).of_type("AIGatewayRoute")]
        return [[rule["matches"][0]["headers"][-1]["value"] for rule in each] for each in rules]

    assert (callers(bound, tenant("free", "llama")), callers(bound)) == ([["free([.][0-9]+)?"]], [])


def test_a_host_that_refuses_a_model_ends_the_program_once_the_others_are_served():
    with pytest.raises(pulumi.RunError, match="not all hosts are there: what is missing stands above"):
        run(lambda: program(plan(model("llama", {"vllm": 100})), refusal=pulumi.Output.from_input("its quota is 0")))
