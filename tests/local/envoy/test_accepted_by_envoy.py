"""Envoy itself takes every configuration that a valid stack renders to, without a warning."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import date
from pathlib import Path
from secrets import token_hex

import pytest

from corral.catalog.load import load_catalog
from corral.config.read import read_stack
from corral.local.envoy.configuration import Secrets, Site, render
from corral.local.envoy_process import EnvoyProcess, claim_port, find_envoy
from corral.local.placement import Address, desire, system_certificates
from corral.local.state_folder import envoy_directory
from corral.plan.build import build
from corral.plan.checks.run import CheckedStack, check
from corral.plan.plan import Plan

KEYS: defaultdict[str, str] = defaultdict(lambda: token_hex(16))
CORPUS = Path(__file__).parents[2] / "stacks"
STACKS = [file for folder in ("valid", "examples") for file in sorted((CORPUS / folder).glob("*.yaml"))]


def planned(file: Path) -> tuple[Plan, CheckedStack]:
    stack = read_stack(file, load_catalog())
    plan = build(stack, load_catalog())
    settings = stack.engine.model_copy(update={"certificate": None})  # the corpus holds no private key
    return plan, CheckedStack(file, settings, plan, check(plan, date(2026, 11, 21)))


async def served(file: Path) -> tuple[dict[str, int], str]:
    """Serves a stack; the counters of rejected updates, and what Envoy said meanwhile."""
    plan, loaded = planned(file)
    desired = desire(loaded, "always", {}, KEYS, KEYS, str)
    with envoy_directory("test") as files:
        engine = EnvoyProcess(find_envoy(), files, lambda _: None)
        try:
            adapter = Address(9, "a token")
            links = desired.upstreams(simulated_port=9, adapter=adapter)
            port = claim_port("127.0.0.1", 0)
            log = files.root / "requests.jsonl"
            site = Site("127.0.0.1", port, files, log, log, False, desired.public_keys, system_certificates())
            secrets = Secrets(desired.secrets(links, adapter))
            configuration = render(plan, links, desired.callers.hashes, site, secrets)
            await engine.start(configuration, secrets, 1)
            return await engine.admin.gauges("update_rejected$"), engine.last_words
        finally:
            await engine.stop(0)


@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.stem)
def test_envoy_takes_the_configuration_of_a_valid_stack(file: Path) -> None:
    rejected, said = asyncio.run(served(file))
    assert rejected
    assert not any(rejected.values()), said
    assert [line for line in said.splitlines() if not line.startswith("Jwks async fetching")] == []
