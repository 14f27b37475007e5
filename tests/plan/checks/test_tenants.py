from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from corral.plan.checks.findings import Finding
from corral.plan.checks.tenants import tenants
from tests.plan.world import LLAMA, SCOUT, build

KEYS = {"keys": [f"sha256:{'1' * 64}"]}
ISSUERS = [{"issuer": "https://login.example.com/", "audiences": ["corral"], "jwksFile": "keys.json"}]


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
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_tenant_is_known_and_served(case: Case) -> None:
    assert tuple(tenants(build(case.models, tenants=case.tenants, **case.more))) == case.want
