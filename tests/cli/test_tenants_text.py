"""Tenants at the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corral.cli.tables import issuer_line, tenant_lines
from corral.plan.diff import move
from corral.plan.plan import Plan
from tests.cli.conftest import STACK, Corral
from tests.plan.world import LLAMA, SCOUT, build

TENANTS = """\
  corral:tenants:
    search:
      keys: [sha256:{0}1, sha256:{0}2]
      models: [m]
      residency: [us]
      priority: high
      requestsPerMinute: 600
      tokensPerMinute: 200k
      concurrentRequests: 20
      bodyLimit: 1Mi
      perModel: {{m: {{tokensPerMinute: 20k}}}}
    support: {{}}
""".format("0" * 63)


def rows(text: str) -> list[str]:
    """The lines of the table of tenants, with one space between columns."""
    lines = text.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("TENANT"))
    return [" ".join(line.split()) for line in lines[start : lines.index("", start)]]


def test_a_plan_shows_who_may_call_and_how_much(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(
        STACK.replace("groq-m}", "{id: groq-m, reaches: [us]}}")
        + TENANTS.replace("bodyLimit: 1Mi", "bodyLimit: 1Mi\n      budget: {month: 4000, day: 300}")
    )
    shown = corral("plan").out
    assert rows(shown) == [
        "TENANT MODELS REQUESTS/MIN TOKENS/MIN CONCURRENT BODY PRIORITY PROCESSED IN IDENTIFIED BY",
        "search m 600 200,000 20 1 MiB high us 2 keys",
        "of m – 20,000",
        "support all – – – 50 MiB normal no key in the stack",
    ]
    assert "search: at most $300.00 a day and $4,000.00 a month." in shown
    assert [line.partition(":")[0] for line in shown.splitlines() if "tenant/" in line or "enforced/" in line] == [
        "error tenant/search/budget",
        "note enforced/local",
        "note enforced/tokensPerMinute",
        "note tenant/support/keys",
    ]


def test_a_plan_as_json_has_the_tenants(corral: Corral, project: Path):
    (project / "stacks" / "Pulumi.local.yaml").write_text(STACK + TENANTS.replace("residency: [us]", "claims: []"))
    assert corral("plan", "--json").status == 2
    (project / "stacks" / "Pulumi.local.yaml").write_text(STACK + TENANTS.replace("      residency: [us]\n", ""))
    tenants: list[dict[str, Any]] = json.loads(corral("plan", "--json").out)["plan"]["tenants"]
    assert [(tenant["name"], tenant["models"], tenant["rate"]) for tenant in tenants] == [
        ("search", ["m"], {"requests": 600, "tokens": 200_000}),
        ("support", ["llama-3.3-70b", "m"], {"requests": None, "tokens": None}),
    ]


@pytest.mark.usefixtures("project")
def test_a_plan_without_tenants_says_who_can_call(corral: Corral):
    assert "No tenants are declared: only this machine can call, and needs no key." in corral("plan").out.splitlines()


def test_a_cluster_makes_keys_and_a_model_is_explained_with_those_who_may_ask_for_it(corral: Corral, project: Path):
    engine = (
        "  aws:region: us-east-1\n  corral:engine: {kind: kubernetes}\n"
        "  corral:tenants: {search: {models: [m]}, support: {priority: high}}\n"
    )
    (project / "stacks" / "Pulumi.local.yaml").write_text(STACK + engine)
    assert rows(corral("plan").out)[1:] == [
        "search m – – – 50 MiB normal a key of the cluster",
        "support all – – – 50 MiB high a key of the cluster",
    ]
    paragraphs = corral("explain", "llama-3.3-70b").out.split("\n\n")
    assert "- support may ask for it, with high priority.\n- search may not ask for it." in paragraphs


def plan(tenants: dict[str, Any], **more: Any) -> Plan:
    return build({name: {"shares": {"bedrock": 100}} for name in (LLAMA, SCOUT)}, tenants=tenants, **more)


def lines(before: Plan, after: Plan) -> list[str]:
    return [line for each in move(before, after).tenants for line in tenant_lines(each)]


def test_what_changes_for_tenants_is_told_in_lines():
    before = plan(
        {
            "gone": {},
            "search": {
                "keys": [f"sha256:{'1' * 64}"],
                "models": [LLAMA],
                "requestsPerMinute": 6_000,
                "bodyLimit": "1Mi",
                "budget": {"month": 4000},
                "perModel": {LLAMA: {"tokensPerMinute": "20k"}},
            },
        }
    )
    after = plan(
        {
            "new": {"models": [SCOUT], "tokensPerMinute": "1k", "residency": ["us"], "priority": "high"},
            "search": {
                "keys": [f"sha256:{'2' * 64}", f"sha256:{'3' * 64}"],
                "models": [SCOUT],
                "residency": ["us", "eu"],
                "requestsPerMinute": 600,
                "concurrentRequests": 2,
                "budget": {"month": 4000.5, "day": 300, "atLimit": "allow"},
                "priority": "high",
            },
        }
    )
    assert lines(before, after) == [
        "tenant gone (removed)",
        "tenant new (added)",
        "  models           + llama-4-scout",
        "  tokens a minute  1,000",
        "  places           us",
        "  priority         high",
        "tenant search",
        "  models                            + llama-4-scout, - llama-3.3-70b",
        "  requests a minute                 6,000 → 600",
        "  requests at a time                unlimited → 2",
        "  body                              1 MiB → unlimited",
        "  budget a day                      unlimited → $300.00",
        "  budget a month                    $4,000.00 → $4,000.50",
        "  tokens a minute of llama-3.3-70b  20,000 → unlimited",
        "  places                            anywhere → eu, us",
        "  priority                          normal → high",
        "  at its budget                     refuse → allow",
        "  keys                              2 added, 1 removed",
    ]


def test_what_an_issuer_changes_is_told_in_lines():
    issuers = [{"issuer": "https://login.example.com/", "audiences": ["corral"], "jwksFile": "keys.json"}]
    before, after = plan({"search": {}}), plan({"search": {"claims": ["b", "a"]}}, issuers=issuers)
    assert lines(before, after) == ["tenant search", "  claims  + a, + b"]
    assert lines(after, before) == ["tenant search", "  claims  - a, - b"]
    assert [*map(issuer_line, move(before, after).issuers)] == ["issuer https://login.example.com/ (added)"]
