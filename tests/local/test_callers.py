"""Whose key is whose on this machine."""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from secrets import token_bytes
from typing import Any

import pytest

from corral.local.callers import Callers, callers, refuse_strangers
from corral.local.errors import EngineError
from corral.plan.credentials import KEY_BYTES, key_of
from corral.plan.plan import Plan
from tests.plan.world import LLAMA, build

ONE, OTHER, THIRD = "sk-corral-ONE-NEVER", "sk-corral-OTHER-NEVER", "sk-corral-THIRD-NEVER"
ISSUERS = [{"issuer": "https://login.example.com/", "audiences": ["corral"], "jwksFile": "keys.json"}]


def digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def stack_of(*keys: str) -> dict[str, Any]:
    return {"keys": [f"sha256:{digest(key)}" for key in keys]}


def own_keys() -> defaultdict[str, str]:
    """A key for any tenant, as a run has one."""
    return defaultdict(lambda: key_of(token_bytes(KEY_BYTES)))


def plan(tenants: dict[str, Any] | None, **more: Any) -> Plan:
    said = {} if tenants is None else {"tenants": tenants}
    return build({LLAMA: {"shares": {"bedrock": 100}}}, **said, **more)


def test_a_key_is_known_from_the_stack_from_the_environment_or_from_both() -> None:
    found = callers(
        plan({"search": stack_of(ONE, OTHER), "support-desk": {}}),
        {"CORRAL_TENANT_SEARCH_KEYS": ONE, "CORRAL_TENANT_SUPPORT_DESK_KEYS": f" {THIRD} ,,", "OTHER_KEYS": "x"},
        None,
    )
    assert found == Callers(
        {digest(ONE): "search", digest(OTHER): "search", digest(THIRD): "support-desk"},
        {},
    )


def test_without_tenants_there_are_no_callers_to_know() -> None:
    assert callers(plan(None), {}, None) == Callers({}, {})


def test_a_rehearsal_has_a_key_for_those_that_have_none_and_keeps_it_through_the_run() -> None:
    tenants, keys = {"search": stack_of(ONE), "support": {}}, own_keys()
    first = callers(plan(tenants), {}, keys)
    assert (first.generated.keys(), {*first.hashes.values()}) == ({"support"}, {"search", "support"})
    assert first.hashes[digest(first.generated["support"])] == "support"
    again = callers(plan({**tenants, "desk": {}}), {}, keys)
    assert (again.generated["support"], again.generated.keys()) == (first.generated["support"], {"support", "desk"})
    assert again.generated["desk"] != first.generated["support"]
    assert callers(plan({"search": stack_of(ONE)}), {}, keys).generated == {}


def test_the_one_tenant_of_a_cluster_can_be_rehearsed() -> None:
    found = callers(plan(None, engine={"kind": "kubernetes"}), {}, own_keys())
    assert {*found.hashes.values()} == {"default"}


def test_a_tenant_for_whom_an_issuer_vouches_needs_no_key() -> None:
    assert callers(plan({"search": {}}, issuers=ISSUERS), {}, None) == Callers({}, {})
    assert callers(plan({"search": {}}, issuers=ISSUERS), {}, own_keys()) == Callers({}, {})


def test_generated_keys_are_not_in_what_is_printed_of_them() -> None:
    found = callers(plan({"search": {}}), {}, own_keys())
    assert found.generated["search"] not in repr(found)


@pytest.mark.parametrize(
    ("tenants", "environment", "said"),
    [
        (
            {"search": {}, "support-desk": {}, "shop": stack_of(ONE)},
            {"CORRAL_TENANT_SEARCH_KEYS": " , "},
            (
                "Nobody could call as search, which has no key. Make one with: corral key new search. Its hash belongs "
                "into the stack file, or the key into CORRAL_TENANT_SEARCH_KEYS; or rehearse with --simulate.\n"
                "Nobody could call as support-desk, which has no key. Make one with: corral key new support-desk. Its "
                "hash belongs into the stack file, or the key into CORRAL_TENANT_SUPPORT_DESK_KEYS; or rehearse with "
                "--simulate."
            ),
        ),
        (
            {"search": stack_of(ONE), "support": {}},
            {"CORRAL_TENANT_SUPPORT_KEYS": f"{OTHER},{ONE}"},
            (
                "A key of support (CORRAL_TENANT_SUPPORT_KEYS) is one of search's too, and a key is one tenant's. "
                "Take it from one of them."
            ),
        ),
        (
            {"search": {}},
            {"CORRAL_TENANT_SEARCH_KEYS": "short-NEVER"},
            (
                "A key in CORRAL_TENANT_SEARCH_KEYS has fewer than 16 characters, which can be guessed. "
                "Make one with: corral key new search"
            ),
        ),
        (
            {"search": {}},
            {"CORRAL_TENANT_SEARCH_KEYS": "sk corral NEVER NEVER"},
            (
                "A key in CORRAL_TENANT_SEARCH_KEYS has characters that no client can send in a header: letters, "
                "digits and -._~+/ can be. Make one with: corral key new search"
            ),
        ),
    ],
)
def test_callers_that_cannot_be_told_are_refused_without_a_key_in_the_message(
    tenants: dict[str, Any], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(EngineError) as refused:
        callers(plan(tenants), environment, None)
    assert str(refused.value) == said


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7"])
def test_other_machines_may_call_only_where_somebody_asks_who_they_are(address: str) -> None:
    refuse_strangers(plan({"search": {}}), address)
    with pytest.raises(EngineError) as refused:
        refuse_strangers(plan(None), address)
    assert str(refused.value) == (
        f"At {address} other machines could call, and nobody would ask who they are. Declare corral:tenants, for "
        "instance {search: {}}, or listen on 127.0.0.1."
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_may_call_anyhow(address: str) -> None:
    refuse_strangers(plan(None), address)
