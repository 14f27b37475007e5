from __future__ import annotations

from pathlib import Path

import pytest

from corral.cluster.clusters import ExistingCluster
from corral.config.cluster import KubeconfigCluster
from corral.config.hosts import Gpus
from corral.testing import run


def test_a_cluster_that_is_there_gets_a_provider_and_nothing_else():
    made: list[ExistingCluster] = []

    def program() -> None:
        said = KubeconfigCluster(kubeconfig="kind.yaml", context="kind-corral")
        made.append(ExistingCluster("cluster", said))

    seen = run(program)
    assert [each.type for each in seen.resources if each.custom] == ["pulumi:providers:kubernetes"]
    assert seen["cluster-provider"].inputs == {
        "kubeconfig": "kind.yaml",
        "context": "kind-corral",
        "clusterIdentifier": "kind-corral",
        "enableServerSideApply": "true",
    }
    (cluster,) = made
    nodes = cluster.gpu_nodes("vllm", Gpus(instance="dgx", min=1, max=1), 8, cluster)
    assert (nodes, cluster.identity("i", "n", "a", [], cluster), cluster.ready) == ((), (), ())


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
