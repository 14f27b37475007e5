"""A catalog small enough to be spelled out in messages."""

from __future__ import annotations

from datetime import date

import pytest

from corral.catalog.catalog import Catalog, HostEntry, ModelFamily, Protocol


def _host(title: str, variable: str | None = None, protocol: Protocol = "openai") -> HostEntry:
    return HostEntry(
        title=title,
        protocol=protocol,
        auth="bearer",
        key_variable=variable,
        as_of=date(2026, 11, 21),
        source="made for tests",
    )


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog(
        hosts={
            "azure": _host("Azure AI Foundry", "AZURE_OPENAI_API_KEY"),
            "bedrock": _host("AWS Bedrock", protocol="bedrock-converse"),
            "deepinfra": _host("DeepInfra", "DEEPINFRA_API_KEY"),
            "groq": _host("Groq", "GROQ_API_KEY"),
            "openai": _host("Any OpenAI-compatible URL"),
            "together": _host("Together AI", "TOGETHER_API_KEY"),
            "vllm": _host("vLLM on one's own GPUs"),
        },
        models={
            "llama-3.1-8b": ModelFamily(title="Llama 3.1 8B"),
            "llama-3.3-70b": ModelFamily(title="Llama 3.3 70B"),
            "llama-4-maverick": ModelFamily(title="Llama 4 Maverick"),
        },
        places={
            "eu": "eu",
            "eu-central-1": "eu",
            "eu-west-1": "eu",
            "us": "us",
            "us-east-1": "us",
            "us-west-2": "us",
            "eastus2": "us",
        },
    )
