"""A small catalog, stacks on it, and the targets that come of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from corral.catalog.catalog import Catalog, Takes
from corral.catalog.prices import HourPrice, PriceList, TokenPrice
from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.plan import Credential, Lifecycle, Load, ModelPlan, Plan, Price, Target

TODAY = date(2026, 11, 21)
SEEN = date(2026, 8, 20)

LLAMA = "llama-3.3-70b"
SCOUT = "llama-4-scout"

_US = ["us-west-2", "us-east-1", "us-east-2"]


def _model(model_id: str, **more: Any) -> dict[str, Any]:
    return {"id": model_id, "asOf": SEEN, "source": "the host's page", **more}


def _host(title: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "auth": "bearer", "asOf": SEEN, "source": "the host's page", **more}


CATALOG = Catalog.model_validate(
    {
        "hosts": {
            "azure": _host(
                "Azure",
                auth="api-key",
                keyVariable="AZURE_KEY",
                url="https://{resource}.services.ai.azure.com/openai/v1",
                models={
                    LLAMA: _model(
                        "Llama-3.3",
                        context=128_000,
                        output=8_192,
                        tools=False,
                        toolsWhileStreaming=False,
                        reaches=["global"],
                        price={"input": 0.71, "output": 0.71},
                    ),
                    "llama-3.1-8b": _model(
                        "Llama-3.1-8B", lifecycle={"retired": date(2026, 6, 13)}, reaches=["global"]
                    ),
                },
            ),
            "bedrock": _host(
                "Bedrock",
                auth="aws",
                keyVariable="BEDROCK_TOKEN",
                protocol="bedrock-converse",
                url="https://bedrock-runtime.{region}.amazonaws.com",
                models={
                    LLAMA: _model(
                        "us.meta.llama3-3",
                        context=128_000,
                        streaming=True,
                        tools=True,
                        toolsWhileStreaming=False,
                        vision=False,
                        callableFrom=_US,
                        reaches=_US,
                        price={"input": 0.72, "output": 0.72},
                    ),
                    SCOUT: _model(
                        "us.meta.llama4-scout",
                        callableFrom=_US,
                        reaches=[*_US, "us-west-1"],
                        price={"input": 0.17, "output": 0.66},
                    ),
                },
            ),
            "deepinfra": _host(
                "DeepInfra",
                keyVariable="DEEPINFRA_API_KEY",
                url="https://api.deepinfra.com/v1/openai",
                models={
                    LLAMA: _model("Llama-3.3-Turbo", tools=True, price={"input": 0.13, "output": 0.4}, verified=False)
                },
            ),
            "groq": _host(
                "Groq",
                url="https://api.groq.com/openai/v1",
                regions=["us"],
                models={
                    LLAMA: _model("llama-versatile", lifecycle={"restricted": "to customers with committed spend"}),
                    SCOUT: _model("llama-4-scout-groq", lifecycle={"retired": date(2026, 7, 17)}),
                },
            ),
            "meta": _host(
                "Meta", placeholder="Meta serves no Llama itself", models={"llama-3.1-8b": _model("Llama-3.1-8B-Meta")}
            ),
            "openai": _host("Any OpenAI-compatible URL"),
            "vllm": _host("vLLM", keyVariable="VLLM_API_KEY", models={LLAMA: _model(LLAMA, tools=True, vision=False)}),
        },
        "models": {
            LLAMA: {"title": "Llama 3.3 70B"},
            SCOUT: {"title": "Llama 4 Scout"},
            "llama-5": {"title": "Llama 5", "placeholder": "no Llama 5 is known of"},
        },
        "places": {
            "us": "us",
            "us-east-1": "us",
            "us-east-2": "us",
            "us-west-1": "us",
            "us-west-2": "us",
            "eu": "eu",
            "eu-west-1": "eu",
        },
    }
)

HOSTS: dict[str, Any] = {
    "azure": {"location": "eastus2", "capacity": {LLAMA: 200}},
    "bedrock": {},
    "deepinfra": {},
    "groq": {},
    "lab": {
        "kind": "openai",
        "url": "https://lab.example.com/v1",
        "regions": ["eu-west-1"],
        "models": {LLAMA: {"id": "Llama-Lab", "context": 8_192, "price": {"input": 0, "output": 0}}},
    },
    "meta": {},
    "vllm": {"modelWeights": {LLAMA: "s3://weights/llama"}},
}
"""Per name what a stack says of a host; the kind is the name where it is not said."""


PRICES = PriceList(
    tokens={
        kind: {
            model.id: TokenPrice.model_construct(
                input=model.price.input,
                output=model.price.output,
                cached_input=None,
                source="catalog",
                as_of=SEEN,
                review_by=TODAY,
            )
            for model in host.models.values()
            if model.price
        }
        for kind, host in CATALOG.hosts.items()
    },
    hours={
        "us-east-1": {
            "g6e.12xlarge": HourPrice.model_construct(
                on_demand=10_000_000, spot=None, reserved=None, source="AWS", as_of=SEEN, review_by=TODAY
            )
        }
    },
)
"""What the catalog says, as a lock file has it, and an hour of a GPU node."""

NODES = {"instance": "g6e.12xlarge", "min": 1, "max": 4, "count": 4, "memory": "44Gi", "parallel": 4}


def stack(models: Mapping[str, Any], hosts: Mapping[str, Any] | None = None, **more: Any) -> Stack:
    said = {name: {"kind": name, **host} for name, host in (HOSTS | dict(hosts or {})).items()}
    return Stack.model_validate({"name": "prod", "region": "us-east-1", "hosts": said, "models": models, **more})


def build(models: Mapping[str, Any], hosts: Mapping[str, Any] | None = None, **more: Any) -> Plan:
    return planning.build(stack(models, hosts, **more), CATALOG, PRICES)


def model(shares: Mapping[str, int], *fallback: str, **more: Any) -> ModelPlan:
    """The plan of `llama-3.3-70b` on the hosts as they are."""
    return build({LLAMA: {"shares": shares, "fallback": list(fallback), **more}}).models[0]


AVAILABLE = Lifecycle("available")

BEDROCK = Target(
    host="bedrock",
    kind="bedrock",
    model_id="us.meta.llama3-3",
    share=100,
    weight=100,
    priority=0,
    protocol="bedrock-converse",
    url="https://bedrock-runtime.us-east-1.amazonaws.com",
    ca=None,
    credential=Credential(header=None, ambient=True, variable="BEDROCK_TOKEN"),
    reaches=("us-east-1", "us-east-2", "us-west-2"),
    callable_from=("us-east-1", "us-east-2", "us-west-2"),
    region="us-east-1",
    context=128_000,
    output=None,
    takes=Takes(streaming=True, tools=True, tools_while_streaming=False, vision=False),
    lifecycle=AVAILABLE,
    price=Price(720_000, 720_000, "catalog"),
    verified=True,
    as_of=SEEN,
    source="the host's page",
    limit=Load(),
    base_model="meta.llama3-3",
)

AZURE = Target(
    host="azure",
    kind="azure",
    model_id="Llama-3.3",
    share=100,
    weight=100,
    priority=0,
    protocol="openai",
    url=None,
    ca=None,
    credential=Credential(header="api-key", ambient=False, variable="AZURE_KEY"),
    reaches=("global",),
    callable_from=None,
    region="eastus2",
    context=128_000,
    output=8_192,
    takes=Takes(tools=False, tools_while_streaming=False),
    lifecycle=AVAILABLE,
    price=Price(710_000, 710_000, "catalog"),
    verified=True,
    as_of=SEEN,
    source="the host's page",
    limit=Load(tokens=200_000),
    base_model="Llama-3.3",
)

VLLM = Target(
    host="vllm",
    kind="vllm",
    model_id=LLAMA,
    share=100,
    weight=100,
    priority=0,
    protocol="openai",
    url=None,
    ca=None,
    credential=Credential(header="authorization", ambient=False, variable="VLLM_API_KEY"),
    reaches=("us-east-1",),
    callable_from=None,
    region="us-east-1",
    context=None,
    output=None,
    takes=Takes(tools=True, vision=False),
    lifecycle=AVAILABLE,
    price=None,
    verified=True,
    as_of=SEEN,
    source="the host's page",
    limit=Load(),
)

DEEPINFRA = Target(
    host="deepinfra",
    kind="deepinfra",
    model_id="Llama-3.3-Turbo",
    share=100,
    weight=100,
    priority=0,
    protocol="openai",
    url="https://api.deepinfra.com/v1/openai",
    ca=None,
    credential=Credential(header="authorization", ambient=False, variable="DEEPINFRA_API_KEY"),
    reaches=None,
    callable_from=None,
    region=None,
    context=None,
    output=None,
    takes=Takes(tools=True),
    lifecycle=AVAILABLE,
    price=Price(130_000, 400_000, "catalog"),
    verified=False,
    as_of=SEEN,
    source="the host's page",
    limit=Load(),
)

LAB = Target(
    host="lab",
    kind="openai",
    model_id="Llama-Lab",
    share=100,
    weight=100,
    priority=0,
    protocol="openai",
    url="https://lab.example.com/v1",
    ca=None,
    credential=Credential(header="authorization", ambient=False, variable="LAB_API_KEY"),
    reaches=("eu-west-1",),
    callable_from=None,
    region=None,
    context=8_192,
    output=None,
    takes=Takes(),
    lifecycle=AVAILABLE,
    price=Price(0, 0, "stack"),
    verified=True,
    as_of=None,
    source="stack",
    limit=Load(),
)
"""Each as the only host of `llama-3.3-70b`."""
