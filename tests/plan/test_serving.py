from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from corral.catalog.catalog import Takes
from corral.plan.plan import Credential, Lifecycle, Load, Price, Target, Unserved
from tests.plan.world import BEDROCK, DEEPINFRA, HOSTS, LAB, LLAMA, SCOUT, VLLM, build

NEW_ID = replace(DEEPINFRA, model_id="mine", price=None, verified=True, as_of=None, source="stack")
"""DeepInfra called by an id that the catalog does not know there."""


@dataclass(frozen=True)
class Case:
    name: str
    host: str
    said: Mapping[str, Any]
    want: Target | Unserved
    model: str = LLAMA


def absent(host: str, why: str, *keys: str, placeholder: bool = False) -> Unserved:
    kind = "openai" if host == "lab" else host
    return Unserved(host=host, role="share", share=100, why=why, placeholder=placeholder, keys=keys, kind=kind)


CASES = [
    Case("a host of the catalog needs only its name", "deepinfra", {}, DEEPINFRA),
    Case("a plain string is the model's id", "deepinfra", {"models": {LLAMA: "mine"}}, NEW_ID),
    Case("so is an id among other fields", "deepinfra", {"models": {LLAMA: {"id": "mine"}}}, NEW_ID),
    Case(
        "the stack's fields override the catalog's one by one",
        "bedrock",
        {"models": {LLAMA: {"context": 1, "toolsWhileStreaming": True, "tools": False}}},
        replace(BEDROCK, context=1, takes=Takes(streaming=True, tools=False, tools_while_streaming=True, vision=False)),
    ),
    Case(
        "what the stack says of a host holds for its models, but for those of which it says something else",
        "bedrock",
        {"takes": {"tools": False, "seed": False, "vision": True}, "models": {LLAMA: {"tools": True}}},
        replace(BEDROCK, takes=Takes(streaming=True, tools=True, tools_while_streaming=False, vision=True, seed=False)),
    ),
    Case(
        "every field can be overridden",
        "deepinfra",
        {
            "url": "https://proxy.example.com/deepinfra",
            "auth": "api-key",
            "keyVariable": "PROXY_KEY",
            "ca": "proxy.pem",
            "models": {
                LLAMA: {
                    "id": "mine",
                    "context": 1,
                    "output": 2,
                    "streaming": False,
                    "tools": False,
                    "toolsWhileStreaming": False,
                    "vision": True,
                    "lifecycle": {"retired": date(2027, 1, 1)},
                    "reaches": ["us-east-2", "us-east-1", "us-east-2"],
                    "price": {"input": 1, "output": 2},
                }
            },
        },
        Target(
            host="deepinfra",
            kind="deepinfra",
            model_id="mine",
            share=100,
            weight=100,
            priority=0,
            protocol="openai",
            url="https://proxy.example.com/deepinfra",
            ca="proxy.pem",
            credential=Credential(header="api-key", ambient=False, variable="PROXY_KEY"),
            reaches=("us-east-1", "us-east-2"),
            callable_from=None,
            region=None,
            context=1,
            output=2,
            takes=Takes(streaming=False, tools=False, tools_while_streaming=False, vision=True),
            lifecycle=Lifecycle("retired", on=date(2027, 1, 1)),
            price=Price(1_000_000, 2_000_000, "stack"),
            verified=True,
            as_of=None,
            source="stack",
            limit=Load(),
        ),
    ),
    Case("a price of the stack goes before any other", "lab", {}, LAB),
    Case(
        "a restriction of the catalog can be lifted",
        "groq",
        {"auth": "bearer", "regions": ["eu-west-1"], "models": {LLAMA: {"lifecycle": "available"}}},
        replace(
            DEEPINFRA,
            host="groq",
            kind="groq",
            model_id="llama-versatile",
            url="https://api.groq.com/openai/v1",
            credential=Credential(header="authorization", ambient=False, variable="GROQ_API_KEY"),
            reaches=("eu-west-1",),
            takes=Takes(),
            price=None,
            verified=True,
        ),
    ),
    Case(
        "a model of another name is known by the id it has at the host",
        "deepinfra",
        {"models": {"chat": "Llama-3.3-Turbo"}},
        DEEPINFRA,
        model="chat",
    ),
    Case(
        "a known id under the wrong one of our names is what the id says",
        "bedrock",
        {"models": {SCOUT: "us.meta.llama3-3"}},
        BEDROCK,
        model=SCOUT,
    ),
    Case(
        "a model that only the stack knows",
        "deepinfra",
        {"models": {"mine": "mine"}},
        replace(NEW_ID, takes=Takes()),
        model="mine",
    ),
    Case("vLLM serves what it has weights of, by our name", "vllm", {}, VLLM),
    Case(
        "vLLM behind a URL serves what the stack says it does",
        "vllm",
        {
            "modelWeights": {},
            "url": "https://gpu.example.com/v1",
            "region": "eu-west-1",
            "models": {LLAMA: {"context": 9}},
        },
        replace(VLLM, url="https://gpu.example.com/v1", reaches=("eu-west-1",), region="eu-west-1", context=9),
    ),
    Case(
        "vLLM by an id of its own",
        "vllm",
        {"models": {LLAMA: "llama"}},
        replace(VLLM, model_id="llama", as_of=None, source="stack"),
    ),
    Case(
        "vLLM without the weights",
        "vllm",
        {"modelWeights": {}},
        absent("vllm", "the stack gives it no weights of the model", f"corral:hosts.vllm.modelWeights.{LLAMA}"),
    ),
    Case(
        "a model that the catalog does not have at the host",
        "deepinfra",
        {},
        absent("deepinfra", "the catalog has no such model there", f"corral:hosts.deepinfra.models.{SCOUT}"),
        model=SCOUT,
    ),
    Case(
        "a model without an id at a host of one's own",
        "lab",
        {"models": {LLAMA: {"context": 8_192}}},
        absent("lab", f"corral:hosts.lab.models.{LLAMA} gives no id", f"corral:hosts.lab.models.{LLAMA}.id"),
    ),
    Case(
        "a model that a host of one's own says nothing of",
        "lab",
        {"models": {}},
        absent(
            "lab",
            f"corral:hosts.lab.models.{LLAMA} does not say what it is called there",
            f"corral:hosts.lab.models.{LLAMA}",
        ),
    ),
    Case(
        "a host that is a placeholder",
        "meta",
        {},
        absent(
            "meta",
            "Meta serves no Llama itself",
            "corral:hosts.meta.url",
            f"corral:hosts.meta.models.{LLAMA}",
            placeholder=True,
        ),
    ),
    Case(
        "a host that is a placeholder, of a model that the catalog has there",
        "meta",
        {},
        absent(
            "meta",
            "Meta serves no Llama itself",
            "corral:hosts.meta.url",
            "corral:hosts.meta.models.llama-3.1-8b",
            placeholder=True,
        ),
        model="llama-3.1-8b",
    ),
    Case(
        "a host that is a placeholder, half filled in",
        "meta",
        {"url": "https://meta.example.com/v1"},
        absent("meta", "Meta serves no Llama itself", f"corral:hosts.meta.models.{LLAMA}", placeholder=True),
    ),
    Case(
        "a host that is a placeholder, filled in",
        "meta",
        {"url": "https://meta.example.com/v1", "models": {LLAMA: "Llama-Meta"}},
        replace(
            NEW_ID,
            host="meta",
            kind="meta",
            model_id="Llama-Meta",
            url="https://meta.example.com/v1",
            credential=Credential(header="authorization", ambient=False, variable="META_API_KEY"),
            takes=Takes(),
        ),
    ),
    Case(
        "a model that is a placeholder",
        "bedrock",
        {},
        absent("bedrock", "no Llama 5 is known of", "corral:hosts.bedrock.models.llama-5", placeholder=True),
        model="llama-5",
    ),
    Case(
        "a model that is a placeholder, filled in",
        "deepinfra",
        {"models": {"llama-5": "mine"}},
        replace(NEW_ID, takes=Takes()),
        model="llama-5",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_host_serves_a_model_as_the_stack_says_and_the_catalog_knows(case: Case) -> None:
    planned = build({case.model: {"shares": {case.host: 100}}}, {case.host: HOSTS[case.host] | dict(case.said)}).models[
        0
    ]
    assert (*planned.targets, *planned.unserved) == (case.want,)
