from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.catalog.catalog import Takes
from corral.plan.plan import Credential, ModelPlan, Plan, Target
from corral.simulated.hosts import (
    HostsError,
    SimulatedHost,
    Speed,
    from_json,
    simulated_hosts,
    to_json,
)

BEARER = Credential("authorization", ambient=False, variable="GROQ_API_KEY")
API_KEY = Credential("api-key", ambient=False, variable="AZURE_OPENAI_API_KEY")
AMBIENT = Credential(None, ambient=True, variable=None)
OPEN = Credential(None, ambient=False, variable=None)


def some(what: Any, /, **given: Any) -> Any:
    """One of its kind of which only what is given matters; all else is None."""
    return what(**{field.name: given.get(field.name) for field in dataclasses.fields(what)})


def target(host: str, model_id: str, **given: Any) -> Target:
    fields = {"kind": host, "protocol": "openai", "url": "https://example.com/v1", "credential": BEARER}
    fields |= {"takes": Takes()} | given
    return some(Target, host=host, model_id=model_id, **fields)


def plan(*models: tuple[Target, ...]) -> Plan:
    named = tuple(some(ModelPlan, name=f"model-{number}", targets=targets) for number, targets in enumerate(models))
    return some(Plan, stack="test", models=named)


def host(name: str, models: dict[str, Takes], **given: Any) -> SimulatedHost:
    fields: dict[str, Any] = {"path": "/v1", "header": "authorization", "key": f"{name}-key"} | given
    return SimulatedHost(name=name, models=models, **fields)


def test_a_simulated_host_serves_every_id_that_the_plan_names_for_it_and_what_each_can_do():
    small = target("groq", "small", url="https://api.groq.com/openai/v1", takes=Takes(tools=True))
    large = target(
        "groq", "large", url="https://api.groq.com/openai/v1", takes=Takes(streaming=True, vision=False), weight=0
    )
    routing = plan((small, target("lab", "Small", credential=OPEN)), (large,))

    got = simulated_hosts(routing, ["lab", "groq", "lab"], {"groq": "groq-key", "lab": "unused", "together": "unused"})

    assert got == (
        host("groq", {"small": Takes(tools=True), "large": Takes(streaming=True, vision=False)},
             path="/openai/v1"),
        host("lab", {"Small": Takes()}, header=None, key=None),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "path", "header"),
    [
        ({"url": "https://api.groq.com/openai/v1"}, "/openai/v1", "authorization"),
        ({"url": "https://api.deepinfra.com/v1/openai/"}, "/v1/openai", "authorization"),
        ({"url": "http://lab:8000"}, "", "authorization"),
        ({"kind": "azure", "url": None, "credential": API_KEY}, "/openai/v1", "api-key"),
        ({"kind": "vllm", "url": None, "credential": OPEN}, "/v1", None),
        (
            {
                "protocol": "bedrock-converse",
                "url": "https://bedrock-runtime.us-east-1.amazonaws.com",
                "credential": AMBIENT,
            },
            "",
            "authorization",
        ),
        ({"protocol": "bedrock-converse", "url": None, "credential": AMBIENT}, "", "authorization"),
        ({"protocol": "replicate", "url": "https://api.replicate.com/v1"}, "/v1", "authorization"),
    ],
)
def test_a_simulated_host_keeps_the_path_the_protocol_and_the_credential_header_of_the_real_one(
    given: dict[str, Any], path: str, header: str | None
):
    (got,) = simulated_hosts(plan((target("h", "id", **given),)), ["h"], {"h": "h-key"})
    protocol, key = given.get("protocol", "openai"), "h-key" if header else None
    assert got == host("h", {"id": Takes()}, path=path, header=header, key=key, protocol=protocol)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["grok"], "grok serves no model of stack test: simulate one of groq"),
        (["groq"], "simulated host groq wants a key in the header authorization: generate one for it"),
    ],
)
def test_what_cannot_be_simulated_is_said(names: list[str], message: str):
    with pytest.raises(HostsError) as error:
        simulated_hosts(plan((target("groq", "id"),)), names, {})
    assert str(error.value) == message


def test_the_base_url_is_the_hosts_name_and_the_path_of_the_real_one():
    assert host("groq", {}, path="/openai/v1").base_url(4711) == "http://127.0.0.1:4711/groq/openai/v1"


facts = st.none() | st.booleans()
described_hosts = st.builds(
    SimulatedHost,
    name=st.text("abc019", min_size=1, max_size=40),
    path=st.sampled_from(["", "/v1", "/openai/v1", "/v1/openai"]),
    header=st.sampled_from(["authorization", "api-key"]),
    key=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
    models=st.dictionaries(st.text(), st.builds(Takes, **dict.fromkeys(Takes.model_fields, facts))),
    speed=st.builds(Speed, latency=st.integers(0, 10_000), tokens_per_second=st.none() | st.integers(1, 10_000)),
)


@given(st.lists(described_hosts, unique_by=lambda one: one.name).map(tuple))
def test_hosts_come_back_from_json_as_they_were(hosts: tuple[SimulatedHost, ...]):
    assert from_json(to_json(hosts)) == hosts


GOOD: dict[str, Any] = {"name": "groq", "path": "/v1", "header": "authorization", "key": "the-secret", "models": {}}


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({}, "the whole: Input should be a valid array"),
        ([GOOD | {"name": "Groq"}], "0.name: Value error, is not a host's name: "),
        ([GOOD | {"path": "v1"}], "0.path: String should match pattern"),
        ([GOOD | {"path": "/v1/"}], "0.path: String should match pattern"),
        ([GOOD | {"key": None}], "0: Value error, header and key go together: give both, or neither"),
        ([GOOD | {"header": None}], "0: Value error, header and key go together: give both, or neither"),
        ([GOOD | {"key": ["the-secret"]}], "0.key: Input should be a valid string"),
        ([GOOD | {"sped": {}}], "0.sped: Extra inputs are not permitted"),
        ([GOOD | {"speed": {"latency": -1}}], "0.speed.latency: Input should be greater than or equal to 0"),
        ([GOOD, GOOD], "groq: described twice, give each host a name of its own"),
    ],
)
def test_hosts_that_cannot_be_used_are_refused_without_a_word_of_their_keys(hosts: object, message: str):
    with pytest.raises(HostsError) as error:
        from_json(json.dumps(hosts).encode())
    assert str(error.value).startswith(message)
    assert "the-secret" not in str(error.value)
