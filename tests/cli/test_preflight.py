"""`corral preflight` where nothing can be asked, and where something is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Corral

STACK = """\
config:
  aws:region: us-east-1
  corral:engine: {kind: kubernetes}
  corral:cluster: {network: {vpc: vpc-0123456789abcdef0, subnets: [subnet-0123456789abcdef0, subnet-0fedcba9876543210]}}
  corral:hosts: {bedrock: {}, deepinfra: {}}
  corral:models:
    llama-3.3-70b: {shares: {bedrock: 100}MORE}
"""
SIGN_IN = "there are no AWS credentials to ask with: sign in"


@pytest.fixture
def prod(project: Path) -> Path:
    file = project / "stacks" / "Pulumi.prod.yaml"
    file.write_text(STACK.replace("MORE", ""))
    return file


@pytest.mark.usefixtures("prod")
def test_what_cannot_be_asked_is_unknown_and_stops_nothing(corral: Corral):
    said = corral("preflight", "--stack", "prod", "--json")
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out) == [
        {"part": part, "subject": subject, "outcome": "unknown", "why": SIGN_IN}
        for part, subject in (
            ("AWS", "caller"),
            ("bedrock", "us.meta.llama3-3-70b-instruct-v1:0"),
            ("cluster", "Kubernetes 1.35"),
            ("cluster", "zones"),
            ("cluster", "log group"),
            ("cluster", "vCPUs of the Envoys"),
        )
    ]
    table = [line.rstrip().split(maxsplit=3) for line in corral("preflight", "--stack", "prod").out.splitlines()]
    assert (table[0], table[2]) == (
        ["PART", "NEEDS", "VERDICT", "WHY"],
        ["bedrock", "us.meta.llama3-3-70b-instruct-v1:0", "unknown", SIGN_IN],
    )


def test_a_refusal_is_an_exit_status(corral: Corral, prod: Path):
    prod.write_text(STACK.replace("MORE", ", fallback: [deepinfra]"))
    said = corral("preflight", "--stack", "prod", "--json")
    refused = [each for each in json.loads(said.out) if each["outcome"] == "refused"]
    assert (said.status, [(each["part"], each["subject"]) for each in refused]) == (1, [("deepinfra", "key")])


@pytest.mark.usefixtures("prod")
def test_without_the_libraries_of_aws_it_says_what_installs_them(corral: Corral, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    said = corral("preflight", "--stack", "prod", "--json")
    first = json.loads(said.out)[0]
    way_out = "what the stack has on AWS needs libraries that are not installed here: pip install 'corral[aws]'"
    assert (said.status, first) == (
        1,
        {"part": "AWS", "subject": "libraries", "outcome": "refused", "why": way_out},
    )


@pytest.mark.usefixtures("project")
def test_a_stack_of_one_machine_has_nothing_to_provision(corral: Corral):
    said = corral("preflight", "--stack", "local")
    way_out = "Stack local runs on one machine, where there is nothing to provision: corral verify --stack local\n"
    assert said == (1, "", way_out)
