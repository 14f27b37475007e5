"""Every manifest is one that the custom resource definitions take, unknown fields refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from corral.config.cluster import Gateway, GivenCertificate, IssuedCertificate, LoadBalancerCertificate
from corral.gateway.manifests.front import front_resources
from corral.gateway.manifests.hosts import host_resources
from corral.gateway.manifests.render import render
from corral.gateway.manifests.resource import Network
from corral.plan.plan import Plan
from corral.testing import schemas
from tests.gateway.manifests.plans import API_KEY, CA, ENTRA, SIGNED, STORED, endpoint, inputs, plan, plans
from tests.kubernetes import crds

pytestmark = crds.needed

ARN = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"

UNDEFINED = {"Certificate", "Issuer", "EnvoyPatchPolicy", "ExternalSecret"}
"""Kinds whose definitions may not be at hand: cert-manager's, External Secrets', and one of Envoy Gateway's."""


def faults(manifests: list[dict[str, Any]]) -> list[str]:
    by_kind = [(manifest["kind"], schemas.faults(manifest)) for manifest in manifests]
    assert {kind for kind, some in by_kind if some is None} <= UNDEFINED
    return [fault for _, some in by_kind for fault in some or []]


@given(plan=plans())
def test_the_manifests_of_any_plan_fit_their_definitions(plan: Plan):
    assert faults([resource.manifest for resource in render(inputs(plan)).values()]) == []


@pytest.mark.parametrize("network", ["eks", "other"])
@pytest.mark.parametrize(
    "gateway",
    [
        Gateway(),
        Gateway(plain_http=True),
        Gateway(public=True, certificate=LoadBalancerCertificate(acm=ARN), annotations={"a": "b"}),
        Gateway(certificate=GivenCertificate(secret="ingress/llm")),
        Gateway(hostname="llm.example.com", certificate=IssuedCertificate(issuer="letsencrypt")),
    ],
    ids=["own", "plain HTTP as well", "acm", "secret", "issuer"],
)
def test_the_gateway_of_any_stack_fits_its_definitions(gateway: Gateway, network: Network):
    resources = front_resources(inputs(plan(), gateway=gateway, network=network), {})
    assert faults([resource.manifest for resource in resources.values()]) == []


@pytest.mark.parametrize(
    "differing",
    [
        {"credential": API_KEY},
        {"credential": ENTRA},
        {"credential": STORED},
        SIGNED,
        {"tls": False, "port": 8000, "credential": None, "body": {"stream_options": "null"}},
        {"ca": CA},
    ],
    ids=["key in a header of its own", "tokens", "key from a store", "signed", "in the cluster", "own authority"],
)
def test_a_host_of_any_sort_fits_its_definitions(differing: dict[str, Any]):
    resources = host_resources(inputs(plan()), endpoint("lab", "llama", **differing))
    assert faults([resource.manifest for resource in resources.values()]) == []


def test_an_unknown_field_is_a_fault():
    backend = host_resources(inputs(plan()), endpoint("lab", "llama"))["backend/lab/llama"].manifest
    backend["spec"]["endpoint"] = []
    assert schemas.faults(backend) == ["spec: Additional properties are not allowed ('endpoint' was unexpected)"]
