from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from corral.plan.callers import Issuer, Rate
from corral.plan.checks.tenants import MOST_HOSTS, capacity
from corral.plan.plan import Plan
from tests.gateway.manifests.plans import in_regions, model, plan, tenant

HOSTS = [f"h{number:02}" for number in range(16)]
SPREAD = in_regions(model("llama", dict.fromkeys(HOSTS[1:], 0) | {HOSTS[0]: 100}), {host: host for host in HOSTS})


def tenants(count: int, **differing: Any) -> Plan:
    return plan(SPREAD, tenants=[tenant(f"t{number}", "llama", **differing) for number in range(count)])


def apart(count: int) -> Plan:
    one = tenants(count)
    bound = [replace(each, allowed_regions=frozenset({host})) for each, host in zip(one.tenants, HOSTS, strict=False)]
    return replace(one, tenants=tuple(bound))


def issuers(count: int, audiences: int) -> Plan:
    named = tuple(f"a{number}" for number in range(audiences))
    return plan(
        SPREAD, issuers=[Issuer(f"https://{number}", named, "https://keys", None, "sub") for number in range(count)]
    )


def on_hosts(count: int) -> Plan:
    """On the local engine; those that are drained are none of them."""
    names = [f"h{number:02}" for number in range(count)]
    shares = {**dict.fromkeys(names, 1), names[0]: 101 - count, "drained": 0}
    return replace(plan(model("llama", shares)), engine="local")


def test_the_module_has_room_for_as_many_hosts_as_the_plan_may_name():
    header = (files("corral.local") / "module" / "corral.h").read_text()
    assert f"MOST_TARGETS = {MOST_HOSTS}" in header


BOTH = {"rate": Rate(1, 1)}


NO = "the kubernetes engine has no room for so many"


@pytest.mark.parametrize(
    ("held", "name", "message"),
    [
        (tenants(128, **BOTH), None, None),
        (tenants(129, **BOTH), "room/limits", f"{NO} limits of its tenants in all, 258 of 256"),
        (apart(15), None, None),
        (
            apart(16),
            "room/residency/llama",
            f"{NO} sets of hosts of llama that the residency of its tenants leaves, 16 of 15",
        ),
        (issuers(16, 8), None, None),
        (issuers(17, 1), "room/issuers", f"{NO} issuers, 17 of 16"),
        (issuers(1, 9), "room/audiences/https://0", f"{NO} audiences of https://0, 9 of 8"),
        (replace(apart(16), engine="local"), None, None),
        (on_hosts(MOST_HOSTS), None, None),
        (
            on_hosts(MOST_HOSTS + 1),
            "room/hosts/llama",
            "the local engine has no room for so many hosts of llama, 65 of 64",
        ),
    ],
)
def test_a_stack_needs_no_more_than_the_definitions_have_room_for(held: Plan, name: str | None, message: str | None):
    want = [("error", name, message)] if name else []
    assert [(finding.level, finding.name, finding.message) for finding in capacity(held)] == want
