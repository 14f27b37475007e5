from __future__ import annotations

from typing import Any

import pytest

from corral.config.cluster import (
    EksCluster,
    GivenCertificate,
    IssuedCertificate,
    KubeconfigCluster,
    LoadBalancerCertificate,
    Replicas,
    Versions,
)
from corral.plan.checks.cluster import cluster
from corral.plan.plan import Plan
from tests.gateway.manifests.plans import model, plan

THERE = {"vpc": "vpc-0123456789abcdef0", "subnets": ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]}
ANYWHERE = (
    "the API server of the cluster can be called from anywhere on the internet, and asks everybody for credentials of "
    "IAM"
)
FROM_WITHIN = [("note", "the API server of the cluster answers within its VPC only")]


def on(settings: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    """What is found of a cluster with these settings, and a certificate that clients trust: level and message."""
    kind = KubeconfigCluster if "kubeconfig" in settings else EksCluster
    base = plan(model("llama", {"bedrock": 100}))
    trusted = LoadBalancerCertificate(acm="arn:aws:acm:us-east-1:123456789012:certificate/a")
    served = Plan(**{**vars(base), "cluster": kind.model_validate(settings), "certificate": trusted, **more})
    return [(finding.level, finding.message) for finding in cluster(served)]


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        ({"publicFrom": ["203.0.113.0/24"]}, []),
        ({"publicFrom": "nobody"}, FROM_WITHIN),
        ({"network": THERE}, FROM_WITHIN),
        ({"network": THERE, "publicFrom": ["203.0.113.0/24"]}, []),
        ({"kubeconfig": "~/.kube/config"}, []),
        ({"publicFrom": ["anywhere"]}, [("note", ANYWHERE)]),
    ],
    ids=str,
)
def test_who_reaches_the_api_server_is_decided(settings: dict[str, Any], want: list[tuple[str, str]]):
    assert on(settings) == want


@pytest.mark.parametrize("certificate", [IssuedCertificate(issuer="letsencrypt"), GivenCertificate(secret="a/b")])
@pytest.mark.parametrize(
    "settings",
    [
        {"publicFrom": ["203.0.113.0/24"], "addons": {"certificates": "present"}},
        {"kubeconfig": "~/.kube/config"},
    ],
    ids=["new", "there"],
)
def test_what_a_certificate_needs_may_be_there(settings: dict[str, Any], certificate: Any):
    assert on(settings, certificate=certificate) == []


def test_it_is_said_that_clients_trust_the_gateway_only_with_the_authority_that_the_stack_makes():
    own = "an authority that the stack makes issues the gateway's certificate, which no client trusts by itself"
    assert on({"kubeconfig": "~/.kube/config"}, certificate=None) == [("note", own)]


def test_it_is_said_that_plain_http_is_answered():
    plain = (
        "the gateway answers plain HTTP as well: API keys and prompts of who calls it so cross the network in the open"
    )
    assert on({"kubeconfig": "~/.kube/config"}, plain_http=True) == [("note", plain)]


def test_the_engine_of_one_machine_has_no_cluster():
    assert [*cluster(plan(model("llama", {"bedrock": 100})))] == []


BY_CPU = "the number of Envoys follows their CPU"
WAITING = ": a request that waits for its host needs none, and an Envoy holds some 500"
PROMETHEUS = {"url": "http://prometheus.monitoring:9090"}
NEW = {"publicFrom": ["203.0.113.0/24"]}
THERE_ALREADY = {"kubeconfig": "~/.kube/config"}


@pytest.mark.parametrize(
    ("settings", "replicas", "want"),
    [
        (NEW, (2, 10), [("note", f"{BY_CPU}{WAITING}")]),
        (THERE_ALREADY, (2, 10), [("note", f"{BY_CPU}, and stays 2 where no metrics-server tells of it{WAITING}")]),
        (THERE_ALREADY, (3, 3), []),
        ({**THERE_ALREADY, "prometheus": PROMETHEUS}, (2, 10), []),
    ],
    ids=str,
)
def test_it_is_said_where_nobody_counts_the_requests_of_the_envoys(
    settings: dict[str, Any], replicas: tuple[int, int], want: list[tuple[str, str]]
):
    assert on(settings, replicas=Replicas(min=replicas[0], max=replicas[1])) == want


@pytest.mark.parametrize(
    ("versions", "want"),
    [
        ({}, []),
        ({"envoy": "docker.io/envoyproxy/envoy:distroless-v1.38.4"}, []),
        (
            {"envoyGateway": "v1.9.2", "aiGateway": "v1.2.0"},
            [
                (
                    "warning",
                    (
                        "the stack installs Envoy Gateway v1.9.2 and Envoy AI Gateway v1.2.0, not tried with this "
                        "version of Corral"
                    ),
                )
            ],
        ),
    ],
    ids=["those that go with it", "an image", "others"],
)
def test_versions_that_were_not_tried_are_said_to_be_so(versions: dict[str, Any], want: list[tuple[str, str]]):
    there = {**THERE_ALREADY, "prometheus": PROMETHEUS}
    assert on(there, versions=Versions.model_validate(versions)) == want
