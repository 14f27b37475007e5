from __future__ import annotations

from pathlib import Path

import pytest

from components.cluster.existing import ExistingCluster, kubeconfig_path
from components.config.cluster import KubeconfigCluster
from components.config.hosts import Gpus
from tests.world import run


def test_a_cluster_that_is_there_gets_a_provider_and_nothing_else():
    made: list[ExistingCluster] = []

    def program() -> None:
        said = KubeconfigCluster(kubeconfig="kind.yaml", context="kind-corral")
        made.append(ExistingCluster("cluster", said, Path("/stacks")))

    seen = run(program)
    assert [each.type for each in seen.resources if each.custom] == ["pulumi:providers:kubernetes"]
    assert seen["cluster-provider"].inputs == {
        "kubeconfig": "/stacks/kind.yaml",
        "context": "kind-corral",
        "clusterIdentifier": "kind-corral",
        "enableServerSideApply": "true",
    }
    (cluster,) = made
    nodes = cluster.gpu_nodes("vllm", Gpus(instance="dgx", min=1, max=1), 8, cluster)
    assert (nodes, cluster.identity("i", "n", "a", [], cluster), cluster.ready) == ((), (), ())


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("kind.yaml", "/stacks/kind.yaml"),
        ("../kind.yaml", "/stacks/../kind.yaml"),
        ("/etc/kind.yaml", "/etc/kind.yaml"),
        ("~/.kube/config", "/home/ada/.kube/config"),
    ],
)
def test_a_kubeconfig_stands_beside_the_stack_or_where_its_path_says(
    said: str, want: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", "/home/ada")
    assert str(kubeconfig_path(said, Path("/stacks"))) == want
