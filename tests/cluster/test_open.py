from __future__ import annotations

from typing import Any

import pulumi
import pytest

from corral.cluster.clusters import open_cluster
from corral.config.stack import Stack
from corral.testing import run


def stack(**said: Any) -> Stack:
    plain = {
        "name": "prod",
        "hosts": {"bedrock": {"kind": "bedrock"}},
        "models": {"llama-3.3-70b": {"shares": {"bedrock": 100}}},
    }
    return Stack.model_validate(plain | said)


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ({"region": "us-east-1"}, "corral:cluster:Eks"),
        ({"cluster": {"kubeconfig": "kind.yaml"}}, "corral:cluster:Existing"),
    ],
    ids=["a new one", "one that is there"],
)
def test_a_stack_has_the_cluster_that_it_says(said: dict[str, Any], want: str):
    seen = run(lambda: open_cluster(stack(**said), {}))
    assert seen["cluster"].type == want


def test_a_new_cluster_needs_a_region():
    with pytest.raises(
        pulumi.RunError, match="the stack prod makes a cluster on EKS and says no region: set aws:region"
    ):
        run(lambda: open_cluster(stack(), {}))
