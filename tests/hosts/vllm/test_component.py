from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from corral.cluster.clusters import open_cluster
from corral.hosts.endpoint import KeyCredential
from corral.hosts.vllm.component import Vllm, VllmArgs
from corral.testing import NEVER, World, run
from corral.testing.recording import Secret
from tests.hosts.site import site
from tests.hosts.vllm.stack import FP8, GPUS, LLAMA, stack

KEYS = {"huggingface": "token", "vllm": "key"}
KIND = {"kubeconfig": "kubeconfig", "context": "kind"}
PROMETHEUS = {"url": "http://prometheus.monitoring:9090"}
NAME = "vllm-llama-3-3-70b-3026a7"


def world(
    vllm: Mapping[str, Any],
    cluster: Mapping[str, Any],
    *,
    secrets: bool = False,
    models: Mapping[str, Any] | None = None,
    **more: Any,
) -> tuple[World, Vllm]:
    """`cluster` is the stack's; empty for a new one."""
    declared = stack(vllm, models, cluster=dict(cluster), **more)
    made: list[Vllm] = []

    def program() -> None:
        tags = {"corral-stack": "prod"}
        keys = {name: pulumi.Output.secret(f"{NEVER}-{kind}") for name, kind in KEYS.items()} if secrets else {}
        around = replace(site(declared), cluster=open_cluster(declared, tags), keys=keys, tags=tags)
        made.append(Vllm("vllm", VllmArgs.of("vllm", around)))

    return run(program), made[0]


def depends(seen: World, name: str) -> set[str]:
    """The logical names of what a resource depends on."""
    names = {each.urn: each.name for each in seen.resources}
    return {names[urn] for urn in seen[name].dependencies if urn in names}


def test_a_host_gives_an_endpoint_per_model_that_is_ready_with_its_deployment():
    _, host = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, KIND)
    (endpoint,) = host.endpoints.values()
    assert (endpoint.model, endpoint.host, endpoint.hostname, endpoint.port, endpoint.tls, endpoint.path) == (
        LLAMA,
        "vllm",
        "llama-3-3-70b-3026a7.corral-vllm.svc.cluster.local",
        8000,
        False,
        "/v1",
    )
    assert (endpoint.protocol, endpoint.model_id, endpoint.credential) == ("openai", LLAMA, None)
    assert [each.pulumi_resource_type for each in endpoint.ready] == ["kubernetes:apps/v1:Deployment"]


def test_everything_is_a_child_of_the_host_on_the_clusters_provider():
    seen, _ = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, KIND)
    provider = seen["cluster-provider"].urn
    made = [each for each in seen.resources if each.type.startswith("kubernetes:")]
    assert sorted(each.name for each in made) == [
        "vllm-account",
        f"{NAME}-deployment",
        f"{NAME}-disruption-budget",
        f"{NAME}-network-policy",
        f"{NAME}-service",
        "vllm-namespace",
    ]
    assert {each.parent for each in made} == {seen["vllm"].urn}
    assert all(each.provider.startswith(provider) for each in made)


def test_the_guards_of_a_server_are_there_before_it():
    seen, _ = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, KIND)
    guards = {f"{NAME}-service", f"{NAME}-disruption-budget", f"{NAME}-network-policy"}
    assert guards | {"vllm-namespace", "vllm-account"} <= depends(seen, f"{NAME}-deployment")


@pytest.mark.parametrize(
    ("prometheus", "want"), [(None, ()), (PROMETHEUS, ("spec.replicas",))], ids=["fixed", "scaled"]
)
def test_pulumi_leaves_the_number_of_servers_to_what_scales_them(prometheus: Any, want: tuple[str, ...]):
    more = {"prometheus": prometheus} if prometheus else {}
    seen, _ = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, {**KIND, **more})
    assert seen[f"{NAME}-deployment"].ignore_changes == want


def test_pulumi_waits_for_servers_that_go_as_long_as_they_may_take():
    seen, _ = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, KIND)
    pod = seen[f"{NAME}-deployment"].inputs["spec"]["template"]["spec"]
    assert (pod["terminationGracePeriodSeconds"], seen[f"{NAME}-deployment"].delete_timeout) == (665, "1265s")


def test_secrets_are_in_one_secret_and_the_gateway_gets_the_key():
    seen, host = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, KIND, secrets=True)
    held = seen["vllm-secret"].inputs["stringData"]
    assert held == Secret({"token": f"{NEVER}-token", "key": f"{NEVER}-key"}) or held == {
        "token": Secret(f"{NEVER}-token"),
        "key": Secret(f"{NEVER}-key"),
    }
    credential = host.endpoints[LLAMA].credential
    assert isinstance(credential, KeyCredential)
    assert credential.header == "authorization"
    assert "vllm-secret" in depends(seen, f"{NAME}-deployment")


def test_a_token_that_is_in_a_store_is_nowhere_in_pulumi_and_there_before_the_servers():
    keys = {"huggingface": {"key": "corral/hosts", "property": "huggingface"}}
    store = {"name": "aws", "keys": keys}
    seen, _ = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, KIND, secretStore=store)
    manifest = seen["vllm-stored-token"].inputs
    assert manifest["spec"] == {
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": "aws"},
        "refreshInterval": "3600s",
        "data": [{"secretKey": "token", "remoteRef": keys["huggingface"]}],
    }
    assert manifest["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Ready"
    (container,) = seen[f"{NAME}-deployment"].inputs["spec"]["template"]["spec"]["containers"]
    (token,) = [each["valueFrom"]["secretKeyRef"] for each in container["env"] if each["name"] == "HF_TOKEN"]
    assert token == {"name": manifest["metadata"]["name"], "key": "token"}
    assert "vllm-stored-token" in depends(seen, f"{NAME}-deployment")
    assert [*seen.of_type("core/v1:Secret")] == []


def test_on_eks_the_host_gets_nodes_before_its_servers():
    seen, _ = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, {})
    assert seen["vllm-nodes"].parent == seen["vllm"].urn
    assert {"vllm-nodes-pool", "cluster-cluster", "cluster-network-policies"} <= depends(seen, f"{NAME}-deployment")


def test_servers_of_a_host_run_on_its_own_nodes_where_the_stack_makes_them_and_anywhere_else_where_there_are_such():
    selectors: list[Any] = []
    for cluster in ({}, KIND):
        seen, _ = world({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, cluster)
        selectors.append(seen[f"{NAME}-deployment"].inputs["spec"]["template"]["spec"]["nodeSelector"])
    of_type = {"node.kubernetes.io/instance-type": GPUS["instance"]}
    assert selectors == [{**of_type, "karpenter.sh/nodepool": "corral-vllm"}, of_type]


def test_weights_in_s3_can_be_read_by_the_host_and_nothing_else():
    seen, _ = world({"gpus": GPUS, "modelWeights": {LLAMA: "s3://models/llama/Llama-3.3-70B-FP8/"}}, {})
    prefix = "llama/Llama-3.3-70B-FP8"
    assert seen["vllm-identity-policy-1"].inputs["policy"] == (
        '{"Version": "2012-10-17", "Statement": ['
        '{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::models/' + prefix + '/*"]}, '
        '{"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::models"], '
        '"Condition": {"StringLike": {"s3:prefix": ["' + prefix + '", "' + prefix + '/*"]}}}]}'
    )
    association = seen["vllm-identity-association"].inputs
    assert (association["namespace"], association["serviceAccount"]) == ("corral-vllm", "vllm")
    assert "vllm-identity-association" in depends(seen, f"{NAME}-deployment")


def test_models_of_one_host_share_its_namespace_and_nothing_else():
    weights = {LLAMA: FP8, "llama-3.1-8b": "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic"}
    shares = {"shares": {"bedrock": 80, "vllm": 20}}
    seen, host = world({"gpus": GPUS, "modelWeights": weights}, KIND, models=dict.fromkeys(weights, shares))
    assert len({endpoint.hostname for endpoint in host.endpoints.values()}) == 2
    assert len(seen.of_type("Namespace")) == 1
    assert len(seen.of_type("Deployment")) == 2
