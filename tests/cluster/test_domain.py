"""The gateway's name in a zone of Route 53, with a certificate for it, in one `up`."""

from __future__ import annotations

import pytest

from corral.testing import World
from tests.gateway.deployed import config_of, deploy

ZONE, HOSTNAME = "Z0123456789ABCDEFGHIJ", "llm.example.com"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    config = config_of("staging")
    config["corral:gateway"] |= {"hostname": HOSTNAME, "certificate": {"hostedZone": ZONE}}
    return deploy("staging", tmp_path_factory.mktemp("domain"), config)


def test_the_certificate_is_asked_for_and_validated_in_the_zone(world: World):
    certificate = world["domain-certificate"].inputs
    assert (certificate["domainName"], certificate["validationMethod"]) == (HOSTNAME, "DNS")
    assert world["domain-proof"].inputs["zoneId"] == ZONE
    assert world["domain-certificate"].urn in world["domain-proof"].dependencies
    assert world["domain-proof"].urn in world["domain-issued"].dependencies


def test_the_load_balancer_ends_tls_with_it_once_it_is_issued(world: World):
    proxy = world["gateway-proxy"]
    annotations = proxy.inputs["spec"]["provider"]["kubernetes"]["envoyService"]["annotations"]
    issued = world["domain-issued"].inputs["certificateArn"]
    assert annotations["service.beta.kubernetes.io/aws-load-balancer-ssl-cert"] == issued
    assert world["domain-issued"].urn in proxy.dependencies
    assert [each.name for each in world.resources if each.type.endswith(":Certificate")] == ["domain-certificate"]


def test_the_name_points_to_the_load_balancer_before_anybody_is_told_of_it(world: World):
    record = world["domain-record"]
    (alias,) = record.inputs["aliases"]
    assert (record.inputs["name"], record.inputs["zoneId"], record.inputs["type"]) == (HOSTNAME, ZONE, "A")
    assert alias["zoneId"] == "Z26RNL4JYFTOTI"
    assert {world["gateway-service"].urn} <= record.dependencies
