"""What is reported of a stack that is partly wrong: each thing once, and the relations between the rest."""

from __future__ import annotations

from typing import Any

import pytest

from corral.catalog.catalog import Catalog
from corral.config.problems import ConfigError
from corral.config.read import stack_from_config

VALID: dict[str, Any] = {
    "corral:hosts": {"bedrock": {}, "groq": {}},
    "corral:models": {"llama-3.3-70b": {"shares": {"bedrock": 60, "groq": 40}}},
}
NO_SHARE = (
    "no such key: did you mean shares? "
    "Valid are affinity, fallback, leastShares, mirror, peak, residency, shares, volume"
)
NO_MODEL = (
    "no model of that name in the catalog, nor under `models` or `modelWeights` of a host: did you mean llama-3.1-8b? "
    "Valid are llama-3.1-8b, llama-3.3-70b, llama-4-maverick"
)
OVER = "corral:models.llama-3.3-70b.shares: 60 + 50 = 110, must be 100: take 10 from bedrock or groq"


def problems(values: dict[str, Any], catalog: Catalog) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        stack_from_config("prod", VALID | values, catalog)
    return [str(problem).removeprefix("Pulumi.prod.yaml ") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({"bedrock": "us-east-1", "groq": {}}, "corral:hosts.bedrock: must be a mapping, not text"),
        ({"bedrock": {"region": 1}, "groq": {}}, "corral:hosts.bedrock.region: must be text, not 1: put it in quotes"),
        (
            {"bedrock": {"models": {"llama-3.3-70b": {"price": {"input": 1}}}}, "groq": {}},
            "corral:hosts.bedrock.models.llama-3.3-70b.price.output: is missing",
        ),
        (
            ["bedrock", "groq"],
            "corral:hosts: must be a mapping, for instance {bedrock: {region: us-east-1}}, not a list",
        ),
    ],
    ids=["a host", "a key of a host", "a part of a host", "all hosts"],
)
def test_what_is_wrong_with_hosts_hides_nothing_of_the_models(hosts: Any, message: str, catalog: Catalog):
    models = {"llama-3.3-70b": {"shares": {"bedrock": 60, "groq": 50}}}
    assert problems({"corral:hosts": hosts, "corral:models": models}, catalog) == [message, OVER]


@pytest.mark.parametrize(
    ("models", "messages"),
    [
        (
            {"llama-3.3-70b": {"shares": {"bedrock": 60, "groq": "50", "lab": 7}}},
            [
                'corral:models.llama-3.3-70b.shares.groq: "50" is text: write 50 without quotes',
                "corral:models.llama-3.3-70b.shares.lab: no such host under corral:hosts: valid are bedrock, groq",
            ],
        ),
        (
            {"llama-3.3-70b": {"shares": {"bedrock": 100}, "fallback": [7, "lab", 8, "groq", "groq"]}},
            [
                "corral:models.llama-3.3-70b.fallback[0]: must be text, not 7: put it in quotes",
                "corral:models.llama-3.3-70b.fallback[2]: must be text, not 8: put it in quotes",
                "corral:models.llama-3.3-70b.fallback[1]: no such host under corral:hosts: valid are bedrock, groq",
                "corral:models.llama-3.3-70b.fallback[4]: groq is at fallback[3] already: remove one of them",
            ],
        ),
        (
            {"llama-3.3-70b": {"share": {"bedrock": 100}}, "llama-3.3-8b": 7},
            [
                f"corral:models.llama-3.3-70b.share: {NO_SHARE}",
                "corral:models.llama-3.3-8b: must be a mapping, not a number",
                f"corral:models.llama-3.3-8b: {NO_MODEL}",
            ],
        ),
    ],
    ids=["shares", "fallback", "models"],
)
def test_a_wrong_part_says_nothing_but_that_it_is_wrong(models: Any, messages: list[str], catalog: Catalog):
    assert problems({"corral:models": models}, catalog) == messages


def test_no_key_s_name_is_shown_where_the_hosts_are_unknown(catalog: Catalog):
    secret = {"secure": "v1:AAAA"}
    values = {"corral:hosts": {}, "corral:keys": {"sk-NEVER": secret}, "corral:tenantKeys": {"sk-NEVER": secret}}
    assert [problem for problem in problems(values, catalog) if "NEVER" in problem] == []
