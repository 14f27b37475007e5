"""What stands on a cluster before Replicate and Bedrock, as the program makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import kubernetes_validate
import pulumi
import pytest

from corral.catalog.load import load_catalog
from corral.cluster.clusters import open_cluster
from corral.config.read import stack_from_config
from corral.hosts.adapted.description import AdapterState, BedrockHost, ReplicateHost
from corral.hosts.base import HostComponent
from corral.hosts.endpoint import KeyCredential
from corral.hosts.failures import HostFailures
from corral.hosts.registry import make_hosts
from corral.testing import NEVER, World, run
from corral.testing.recording import Secret
from tests.hosts.site import site

pytestmark = pytest.mark.filterwarnings("ignore:aws.ec2/encryptioncontrol:DeprecationWarning")

MAVERICK = "llama-4-maverick"
IMAGE = "registry.example.com/corral-adapter:0.2.0"
KIND = {"kubeconfig": "kubeconfig", "context": "kind"}
EKS = {"publicFrom": ["anywhere"]}
CREDENTIALS = f"[default]\naws_access_key_id = {NEVER}"


def made(
    cluster: Mapping[str, Any], shares: Mapping[str, int], *, folder: Path = Path(), **hosts: Any
) -> tuple[World, Mapping[str, HostComponent]]:
    values = {
        "aws:region": "us-east-1",
        "corral:engine": {"kind": "kubernetes", "bodyLimit": "1Mi"},
        "corral:cluster": dict(cluster),
        "corral:gateway": {"adapterImage": IMAGE},
        "corral:hosts": {"replicate": {}, "bedrock": {}, **hosts},
        "corral:models": {MAVERICK: {"shares": dict(shares)}},
    }
    declared = stack_from_config("prod", values, load_catalog())
    hosts_made: list[Mapping[str, HostComponent]] = []

    def program() -> None:
        tags = {"corral-stack": "prod"}
        keys = {"replicate": pulumi.Output.secret(f"{NEVER}-key"), "bedrock": pulumi.Output.secret(CREDENTIALS)}
        around = replace(site(declared), cluster=open_cluster(declared, tags), keys=keys, tags=tags, folder=folder)
        hosts_made.append(make_hosts(around, HostFailures(0)))

    return run(program), hosts_made[0]


@pytest.fixture(scope="module")
def on_eks() -> tuple[World, Mapping[str, HostComponent]]:
    guarded = {"guardrail": {"strength": "HIGH"}, "costTags": {"team": "search"}}
    return made(EKS, {"replicate": 50, "bedrock": 50}, bedrock=guarded)


def held(seen: World, name: str) -> dict[str, str]:
    """The entries of a Secret, which are secrets."""
    entries = seen[name].inputs["stringData"]
    if isinstance(entries, Secret):
        entries = cast("dict[str, Any]", entries.value)
    return {entry: value.value if isinstance(value, Secret) else value for entry, value in entries.items()}


def depends(seen: World, name: str) -> set[str]:
    names = {each.urn: each.name for each in seen.resources}
    return {names[urn] for urn in seen[name].dependencies if urn in names}


def test_every_object_holds_against_its_schema(on_eks: tuple[World, Mapping[str, HostComponent]]):
    seen, _ = on_eks
    here = [each for each in seen.resources if each.name.startswith("replicate-adapter-")]
    objects = [each for each in here if each.type.startswith("kubernetes:")]
    assert sorted(each.type.rpartition(":")[2] for each in objects) == [
        "Deployment", "HorizontalPodAutoscaler", "Namespace", "NetworkPolicy", "PodDisruptionBudget", "Secret",
        "Service", "ServiceAccount",
    ]  # fmt: skip
    for each in objects:
        if not each.type.endswith("Secret"):
            kubernetes_validate.validate(dict(each.inputs), "1.35", strict=True)


def test_the_gateway_calls_the_adapter_as_a_host_that_speaks_openai(on_eks: tuple[World, Mapping[str, HostComponent]]):
    _, hosts = on_eks
    endpoint = hosts["replicate"].endpoints[MAVERICK]
    assert (endpoint.host, endpoint.hostname, endpoint.port, endpoint.tls, endpoint.protocol, endpoint.path) == (
        "replicate",
        "adapter.corral-replicate.svc.cluster.local",
        8080,
        False,
        "openai",
        "/replicate/v1",
    )
    assert endpoint.model_id == "meta/llama-4-maverick-instruct"
    assert isinstance(endpoint.credential, KeyCredential)
    assert endpoint.credential.header == "authorization"
    assert [each.pulumi_resource_type for each in endpoint.ready] == ["kubernetes:apps/v1:Deployment"]


def test_what_the_adapter_serves_is_a_secret_and_its_token_is_the_gateways(
    on_eks: tuple[World, Mapping[str, HostComponent]],
):
    seen, _ = on_eks
    state = AdapterState.model_validate_json(held(seen, "replicate-adapter-state")["adapter.json"])
    (host,) = state.hosts
    assert isinstance(host, ReplicateHost)
    assert (host.key, host.url) == (f"{NEVER}-key", "https://api.replicate.com/v1")
    assert (state.limits.body, state.limits.concurrent, state.drain_timeout) == (2**20, 256, 600_000)
    facts = host.models["meta/llama-4-maverick-instruct"]
    assert (facts.moves_on, facts.tools) == (True, False)
    assert state.token


def test_pods_that_are_secure_spread_and_drained_come_with_another_description_and_not_with_another_key(
    on_eks: tuple[World, Mapping[str, HostComponent]],
):
    seen, _ = on_eks
    deployment = seen["replicate-adapter-deployment"]
    assert deployment.ignore_changes == ("spec.replicas",)
    template = deployment.inputs["spec"]["template"]
    pod = template["spec"]
    (container,) = pod["containers"]
    assert (container["image"], container["args"]) == (IMAGE, ["--folder", "/etc/corral", "--port", "8080"])
    assert "env" not in container
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["terminationGracePeriodSeconds"] == 35 + 600 + 30
    assert NEVER not in json.dumps(deployment.inputs)
    digest = template["metadata"]["annotations"]["corral/hash"]
    lone, _ = made(EKS, {"replicate": 100})
    annotations = lone["replicate-adapter-deployment"].inputs["spec"]["template"]["metadata"]["annotations"]
    assert annotations["corral/hash"] != digest  # a lone host's refusals are the client's
    moved, _ = made(EKS, {"replicate": 10, "bedrock": 90})
    assert moved["replicate-adapter-deployment"].inputs["spec"] == deployment.inputs["spec"]
    guards = {"replicate-adapter-state", "replicate-adapter-network-policy", "replicate-adapter-account"}
    assert guards <= depends(seen, "replicate-adapter-deployment")


def test_bedrocks_adapter_signs_with_an_identity_of_its_own_and_asks_for_the_guardrail(
    on_eks: tuple[World, Mapping[str, HostComponent]],
):
    seen, hosts = on_eks
    assert hosts["bedrock"].invoke_policy is None  # the gateway's own identity is allowed nothing there
    association = seen["bedrock-adapter-identity-association"].inputs
    assert (association["namespace"], association["serviceAccount"]) == ("corral-bedrock", "adapter")
    assert "bedrock-adapter-identity-association" in depends(seen, "bedrock-adapter-deployment")
    (host,) = AdapterState.model_validate_json(held(seen, "bedrock-adapter-state")["adapter.json"]).hosts
    assert isinstance(host, BedrockHost)
    assert (host.url, host.region, host.key, host.credentials) == (
        "https://bedrock-runtime.us-east-1.amazonaws.com", "us-east-1", None, None
    )  # fmt: skip
    assert [*host.parameters] == ["guardrailConfig"]
    assert [each for each in host.models if "application-inference-profile" in each or "arn" in each.lower()]
    endpoint = hosts["bedrock"].endpoints[MAVERICK]
    assert (endpoint.protocol, endpoint.path, endpoint.body) == ("openai", "/bedrock/v1", {})


def test_where_the_cluster_gives_no_identity_the_adapter_reads_a_file_of_credentials():
    seen, _ = made(KIND, {"replicate": 50, "bedrock": 50})
    entries = held(seen, "bedrock-adapter-state")
    assert entries["credentials"] == CREDENTIALS
    (host,) = AdapterState.model_validate_json(entries["adapter.json"]).hosts
    assert isinstance(host, BedrockHost)
    assert host.credentials
    (container,) = seen["bedrock-adapter-deployment"].inputs["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/etc/corral/credentials"}]


def test_certificates_of_the_stack_are_those_that_the_adapter_trusts(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("a certificate")
    seen, _ = made(KIND, {"replicate": 100}, folder=tmp_path, replicate={"ca": "ca.pem"})
    entries = held(seen, "replicate-adapter-state")
    assert entries["ca.crt"] == "a certificate"
    assert AdapterState.model_validate_json(entries["adapter.json"]).hosts[0].ca == "/etc/corral/ca.crt"
