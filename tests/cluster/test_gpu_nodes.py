from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from corral.cluster.gpu_nodes import node_class, node_pools
from corral.config.hosts import Gpus
from corral.hosts.base import Vpc

MARKS = {"corral-stack": "prod"}
VPC = Vpc("vpc-1", "us-east-1", ["subnet-a", "subnet-b"], ["subnet-a", "subnet-b"], "sg-a")


def gpus(**more: Any) -> Gpus:
    return Gpus.model_validate({"instance": "g6e.12xlarge", "min": 1, "max": 4} | more)


def requirement(label: str, *values: str) -> dict[str, Any]:
    return {"key": label, "operator": "In", "values": [*values]}


def test_a_pool_has_nodes_of_one_type_for_servers_only_and_never_takes_a_busy_one():
    (pool,) = node_pools("vllm", gpus(), 4, MARKS)
    assert pool == {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "corral-vllm", "labels": MARKS},
        "spec": {
            "template": {
                "metadata": {"labels": MARKS},
                "spec": {
                    "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "corral-vllm"},
                    "requirements": [
                        requirement("node.kubernetes.io/instance-type", "g6e.12xlarge"),
                        requirement("karpenter.sh/capacity-type", "on-demand"),
                        requirement("kubernetes.io/arch", "amd64"),
                    ],
                    "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
                    "expireAfter": "480h",
                    "terminationGracePeriod": "24h",
                },
            },
            "limits": {"nvidia.com/gpu": "16"},
            "disruption": {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": "1h",
                "budgets": [{"nodes": "0", "reasons": ["Drifted"]}, {"nodes": "1"}],
            },
        },
    }


def test_of_several_types_karpenter_tries_the_first_that_is_named():
    pools = node_pools("vllm", gpus(alternatives=["g6e.24xlarge", "g6.24xlarge", "g6e.12xlarge"]), 4, MARKS)
    types = [each["spec"]["template"]["spec"]["requirements"][0]["values"] for each in pools]
    assert types == [["g6e.12xlarge"], ["g6e.24xlarge"], ["g6.24xlarge"]]
    assert [each["spec"]["weight"] for each in pools] == [100, 99, 98]
    names = [each["metadata"]["name"] for each in pools]
    assert (names[0], len({*names})) == ("corral-vllm", 3)
    assert {each["spec"]["template"]["spec"]["nodeClassRef"]["name"] for each in pools} == {"corral-vllm"}


RESERVATION = "cr-0123456789abcdef0"


@pytest.mark.parametrize(
    ("bought", "capacity", "selected"),
    [
        ("onDemand", ["on-demand"], None),
        ("spot", ["spot", "on-demand"], None),
        ({"reservation": RESERVATION}, ["reserved"], [{"id": RESERVATION}]),
        ({"reservation": RESERVATION, "otherwise": "onDemand"}, ["reserved", "on-demand"], [{"id": RESERVATION}]),
        ({"reservation": RESERVATION, "otherwise": "spot"}, ["reserved", "spot", "on-demand"], [{"id": RESERVATION}]),
    ],
    ids=str,
)
def test_nodes_are_bought_as_the_stack_says(bought: Any, capacity: list[str], selected: Any):
    requirements = node_pools("n", gpus(capacityType=bought), 4, MARKS)[0]["spec"]["template"]["spec"]["requirements"]
    spec = node_class("n", gpus(capacityType=bought), "role", VPC, MARKS)["spec"]
    assert requirement("karpenter.sh/capacity-type", *capacity) in requirements
    assert spec.get("capacityReservationSelectorTerms") == selected


@pytest.mark.parametrize(
    ("window", "schedule", "duration"),
    [
        ({"day": "saturday", "start": "03:00", "duration": "4h"}, "0 7 * * 6", "164h0m"),
        ({"day": "saturday", "start": "22:15", "duration": "150m"}, "45 0 * * 0", "165h30m"),
        ({"day": "monday", "start": "00:00", "duration": "144h"}, "0 0 * * 0", "24h0m"),
    ],
    ids=["within a day", "past midnight and the week's end", "nearly always"],
)
def test_outside_of_its_window_no_busy_node_is_replaced(window: Mapping[str, str], schedule: str, duration: str):
    """Karpenter takes the least of the budgets that hold, so that the one of none holds outside."""
    disruption = node_pools("n", gpus(maintenance=window), 4, MARKS)[0]["spec"]["disruption"]
    assert disruption["budgets"] == [
        {"nodes": "0", "reasons": ["Drifted"], "schedule": schedule, "duration": duration},
        {"nodes": "1"},
    ]


def test_a_class_says_where_nodes_stand_and_what_disk_they_have():
    assert node_class("corral-vllm", gpus(disk="300Gi"), "role", VPC, MARKS) == {
        "apiVersion": "eks.amazonaws.com/v1",
        "kind": "NodeClass",
        "metadata": {"name": "corral-vllm", "labels": MARKS},
        "spec": {
            "role": "role",
            "subnetSelectorTerms": [{"id": "subnet-a"}, {"id": "subnet-b"}],
            "securityGroupSelectorTerms": [{"id": "sg-a"}],
            "ephemeralStorage": {"size": "300Gi"},
            "networkPolicy": "DefaultAllow",
            "tags": {"corral-stack": "prod"},
        },
    }
