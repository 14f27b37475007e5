from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from corral.cluster.clusters import ExistingCluster, open_cluster
from corral.config.cluster import KubeconfigCluster
from corral.config.hosts import Gpus
from corral.config.stack import Stack
from corral.testing import run


def test_a_cluster_that_is_there_gets_a_provider_and_nothing_else():
    made: list[ExistingCluster] = []

    def program() -> None:
        settings = KubeconfigCluster(kubeconfig="kind.yaml", context="kind-corral")
        made.append(ExistingCluster("cluster", settings))

    seen = run(program)
    assert [each.type for each in seen.resources if each.custom] == ["pulumi:providers:kubernetes"]
    assert seen["cluster-provider"].inputs == {
        "kubeconfig": "kind.yaml",
        "context": "kind-corral",
        "clusterIdentifier": "kind-corral",
        "enableServerSideApply": "true",
        "enableSecretMutable": "true",
        "enableConfigMapMutable": "true",
    }
    (cluster,) = made
    nodes = cluster.gpu_nodes("vllm", Gpus(instance="dgx", min=1, max=1), 8, cluster)
    assert (nodes, cluster.identity("i", "n", "a", [], cluster), cluster.ready) == ((), ((), ()), ())


def test_the_state_is_the_same_wherever_pulumi_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[object] = []
    for machine in ("laptop", "ci"):
        home = tmp_path / machine
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.chdir(home)
        world = run(lambda: ExistingCluster("cluster", KubeconfigCluster(kubeconfig="~/.kube/config")))
        seen.append(world["cluster-provider"].inputs)
    assert seen[0] == seen[1]


def stack(**settings: Any) -> Stack:
    plain = {
        "name": "prod",
        "hosts": {"bedrock": {"kind": "bedrock"}},
        "models": {"llama-3.3-70b": {"shares": {"bedrock": 100}}},
    }
    return Stack.model_validate(plain | settings)


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        ({"region": "us-east-1"}, "corral:cluster:Eks"),
        ({"cluster": {"kubeconfig": "kind.yaml"}}, "corral:cluster:Existing"),
    ],
    ids=["a new one", "one that is there"],
)
def test_a_stack_has_the_cluster_that_it_says(settings: dict[str, Any], want: str):
    seen = run(lambda: open_cluster(stack(**settings), {"corral-stack": "prod"}))
    assert seen["cluster"].type == want
