"""Which component makes a host, and what has to be installed for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from corral import testing
from corral.hosts.failures import HostFailures
from corral.hosts.registry import make_hosts
from tests.hosts.site import site, stack

PROGRAM = """
import sys

sys.modules.update(dict.fromkeys({absent}))
import corral.cluster.clusters, corral.gateway.component, corral.gateway.program, corral.hosts.registry, pulumi
from corral.testing.stacks import read_version, run_program
from pathlib import Path

try:
    print(*sorted(each.name for each in run_program(read_version(Path({file!r}))).resources), sep="\\n")
except pulumi.RunError as refused:
    print(refused)
"""

AWS = ("boto3", "botocore", "pulumi_aws")
AZURE = ("pulumi_azure_native",)
LOCAL = ("httptools", "prometheus_client", "psutil", "rstr", "starlette", "uvicorn", "uvloop", "watchfiles")
KIND = {"kubeconfig": "~/.kube/config", "context": "kind-corral"}
AZURE_HOST = {"location": "eastus2", "capacity": {"llama-3.3-70b": 100}, "allowFrom": ["anywhere"]}


@pytest.mark.parametrize(
    "host",
    [
        {"kind": "vllm", "modelWeights": {"llama-3.3-70b": "s3://weights/llama"}},
        {"kind": "azure", "models": {"llama-3.3-70b": "chat"}},
    ],
    ids=lambda host: host["kind"],
)
def test_a_host_at_a_url_is_called_and_not_made(host: dict[str, Any]):
    there = {"url": "https://llm.example.com/v1", "auth": "none", **host}
    declared = stack({"there": there}, {"llama-3.3-70b": {"shares": {"there": 100}}})
    seen = testing.run(lambda: make_hosts(site(declared), HostFailures(0)))
    assert [(each.name, each.type) for each in seen.resources] == [("there", "corral:hosts:OpenAI")]


def run(folder: Path, *absent: str, host: dict[str, Any], cluster: dict[str, Any] = KIND) -> list[str]:
    """The logical names that a stack with this host registers, or why it is not deployed.

    It runs in a process of its own, in which the modules `absent` are not installed.
    """
    (name,) = host
    config = {
        "aws:region": "us-east-1",
        "corral:engine": {"kind": "kubernetes"},
        "corral:cluster": cluster,
        "corral:hosts": host,
        "corral:models": {"llama-3.3-70b": {"shares": {name: 100}}},
    }
    file = folder / "Pulumi.test.yaml"
    file.write_text(yaml.safe_dump({"config": config}))
    program = PROGRAM.format(absent=absent, file=str(file))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=Path(__file__).parents[2] / "components",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_hosted_apis_on_a_cluster_that_is_there_need_no_extra(tmp_path: Path):
    names = run(tmp_path, *AWS, *AZURE, *LOCAL, host={"deepinfra": {}})
    assert {"cluster", "deepinfra", "gateway"} <= {*names}


def test_a_host_needs_the_extra_of_its_own_cloud_only(tmp_path: Path):
    assert "azure-account" in run(tmp_path, *AWS, *LOCAL, host={"azure": AZURE_HOST})
    assert "bedrock-access-llama-3.3-70b" in run(tmp_path, *AZURE, *LOCAL, host={"bedrock": {}})


@pytest.mark.parametrize(
    ("absent", "host", "cluster", "needed_by", "extra"),
    [
        ("pulumi_aws", {"bedrock": {}}, KIND, "the host bedrock", "aws"),
        ("boto3", {"bedrock": {}}, KIND, "the host bedrock", "aws"),
        ("pulumi_azure_native", {"azure": AZURE_HOST}, KIND, "the host azure", "azure"),
        ("pulumi_aws", {"deepinfra": {}}, {"publicFrom": "nobody"}, "a cluster on EKS", "aws"),
    ],
    ids=["bedrock", "bedrock without boto3", "azure", "EKS"],
)
def test_an_extra_that_is_not_installed_is_named_with_the_command_that_installs_it(
    tmp_path: Path, absent: str, host: dict[str, Any], cluster: dict[str, Any], needed_by: str, extra: str
):
    assert run(tmp_path, absent, host=host, cluster=cluster) == [
        f"{needed_by} needs libraries that are not installed here: pip install 'corral[{extra}]'"
    ]
