"""Whom the trickle of requests is sent to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from corral.local.traffic import free_of_charge
from corral.plan.plan import Plan
from tests.plan.world import LLAMA, build

PLAN = build({LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40, "azure": 0}, "fallback": ["lab"]}})


@dataclass(frozen=True)
class Served:
    simulated: Mapping[str, str | None]
    url: str = "http://127.0.0.1:8080/v1"
    plan: Plan = PLAN


@pytest.mark.parametrize(
    ("real", "want"),
    [((), [LLAMA]), (("deepinfra",), []), (("lab",), []), (("azure",), [LLAMA])],
)
def test_a_model_with_a_real_host_is_never_asked_for(real: tuple[str, ...], want: list[str]):
    hosts = ("bedrock", "deepinfra", "azure", "lab")
    assert free_of_charge(Served({host: None if host in real else "no key" for host in hosts})) == want
