from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from corral.plan.plan import Plan
from corral.plan.public_json import content_hash, to_json
from tests.plan.world import LLAMA, build

ROOT = Path(__file__).parents[2]


HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
RATE = {"requestsPerMinute": 60}
AFFINITY = {"header": "x-session-id"}
PEAK = {"requestsPerMinute": 60, "tokensPerMinute": "90k"}


def plan() -> Plan:
    return build(
        {LLAMA: {"shares": {"bedrock": 60, "meta": 40}, "volume": 7, "peak": PEAK, "affinity": AFFINITY}},
        {
            "bedrock": {
                "limits": {"concurrent": 50, "perModel": {LLAMA: {"tokensPerMinute": "600k"}}},
                "overflow": "wait 2s",
            }
        },
        residency=["us", "eu"],
        tenants={"search": {"keys": [f"sha256:{HASH}"], "tokensPerMinute": "1k", "perModel": {LLAMA: RATE}}},
        issuers=[{"issuer": "https://login.example.com/", "audiences": ["corral"], "jwksFile": "keys.json"}],
    )


WANT = {
    "stack": "prod",
    "engine": "local",
    "models": [
        {
            "name": "llama-3.3-70b",
            "targets": [
                {
                    "host": "bedrock",
                    "kind": "bedrock",
                    "modelId": "us.meta.llama3-3",
                    "share": 60,
                    "weight": 60,
                    "priority": 0,
                    "protocol": "bedrock-converse",
                    "url": "https://bedrock-runtime.us-east-1.amazonaws.com",
                    "ca": None,
                    "credential": {"header": None, "ambient": True, "variable": "BEDROCK_TOKEN", "keyFile": None},
                    "reaches": ["us-east-1", "us-east-2", "us-west-2"],
                    "callableFrom": ["us-east-1", "us-east-2", "us-west-2"],
                    "region": "us-east-1",
                    "context": 128_000,
                    "output": None,
                    "takes": {
                        "streaming": True,
                        "tools": True,
                        "toolsWhileStreaming": False,
                        "vision": False,
                        **dict.fromkeys(("toolChoice", "imageUrls", "jsonMode", "jsonSchema", "choices", "logprobs")),
                        **dict.fromkeys(
                            ("seed", "penalties", "completions", "responses", "embeddings", "messages", "rerank")
                        ),
                    },
                    "lifecycle": {"state": "available", "why": None, "on": None},
                    "price": {"input": 720_000, "output": 720_000, "source": "catalog", "cachedInput": None},
                    "verified": True,
                    "asOf": "2026-08-20",
                    "source": "the host's page",
                    "limit": {"concurrent": None, "requests": None, "tokens": 600_000},
                    "fit": None,
                    "hostLimit": {"concurrent": 50, "requests": None, "tokens": None},
                    "overflowWait": 2_000,
                    "mirrored": 0,
                    "guarded": False,
                }
            ],
            "unserved": [
                {
                    "host": "meta",
                    "role": "share",
                    "share": 40,
                    "why": "Meta serves no Llama itself",
                    "placeholder": True,
                    "keys": ["corral:hosts.meta.url", "corral:hosts.meta.models.llama-3.3-70b"],
                }
            ],
            "residency": ["eu", "us"],
            "allowedRegions": ["eu", "eu-west-1", "us", "us-east-1", "us-east-2", "us-west-1", "us-west-2"],
            "volume": 7,
            "peak": {"concurrent": None, "requests": 60, "tokens": 90_000},
            "repeated": [],
            "affinity": AFFINITY,
            "servedBy": ["azure", "bedrock", "deepinfra", "vllm"],
        }
    ],
    "requestSettings": {
        "connectTimeout": 5_000,
        "idleTimeout": 600_000,
        "drainTimeout": 600_000,
        "ejectionTime": 10_000,
        "bodyLimit": 52_428_800,
        "concurrent": None,
        "origins": [],
    },
    "accept": [],
    "tenants": [
        {
            "name": "search",
            "keys": [HASH],
            "claims": ["search"],
            "models": ["llama-3.3-70b"],
            "residency": None,
            "allowedRegions": None,
            "priority": "normal",
            "rate": {"requests": None, "tokens": 1_000},
            "rates": [["llama-3.3-70b", {"requests": 60, "tokens": None}]],
            "concurrent": None,
            "bodyLimit": None,
            "budget": None,
        }
    ],
    "issuers": [
        {
            "issuer": "https://login.example.com/",
            "audiences": ["corral"],
            "jwks": None,
            "jwksFile": "keys.json",
            "claim": "sub",
        }
    ],
    "nodes": [],
}


def test_a_plan_as_json_says_everything_in_camel_case() -> None:
    assert to_json(plan()) == WANT


def test_the_hash_is_that_of_the_json_with_its_keys_sorted() -> None:
    canonical = json.dumps(WANT, sort_keys=True, separators=(",", ":"))
    assert content_hash(plan()) == sha256(canonical.encode()).hexdigest()


def test_the_hash_is_the_same_in_every_run() -> None:
    program = "from tests.plan.test_public_json import *; print(content_hash(plan()))"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert hashes == {content_hash(plan())}


@dataclass(frozen=True)
class Part:
    some_name: object
    """Anything of ours."""


def test_names_and_moments_are_written_as_they_are():
    moment = datetime(2026, 7, 6, 12, 30, tzinfo=UTC)
    named = {"my_host": Part(date(2026, 7, 6)), "m": (1, 0.5, None, True)}
    assert to_json([Part(named), {"b", "a"}, moment]) == [
        {"someName": {"my_host": {"someName": "2026-07-06"}, "m": [1, 0.5, None, True]}},
        ["a", "b"],
        "2026-07-06T12:30:00+00:00",
    ]


def test_what_is_none_of_ours_is_refused():
    with pytest.raises(TypeError, match=r"\w*Path has no form in JSON"):
        to_json({"file": Path()})
