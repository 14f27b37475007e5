"""The gateway's name in a public zone of Route 53, and the certificate of ACM that goes with it.

Two steps, between which the load balancer is made: ACM issues for a name once a record of its own stands in the zone,
and the load balancer is made with that certificate; then the name points to it.  An alias, which a zone's own name may
be too, and which costs nothing to ask for.  ACM renews the certificate as long as its record stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

_VALIDATED_MINUTES = 20
"""For ACM to see its record; where nobody has delegated the zone it never does."""


@dataclass(frozen=True)
class DomainArgs:
    """What the stack says of it."""

    hostname: str
    zone: str
    """The zone's id."""
    region: str
    """The load balancer's."""
    tags: Mapping[str, str]


class Domain(pulumi.ComponentResource):
    """A certificate that is issued, and, once there is an address, the record that points to it.

    Leaves to others: the zone, and its delegation.
    """

    certificate: pulumi.Output[str]
    """The ARN of the certificate, once it is issued."""

    def __init__(self, name: str, args: DomainArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:Domain", name, None, opts)
        self._name, self._args = name, args
        child = pulumi.ResourceOptions(parent=self)
        certificate = aws.acm.Certificate(
            f"{name}-certificate",
            domain_name=args.hostname,
            validation_method="DNS",
            region=args.region,
            tags=args.tags,
            opts=child,
        )
        option = certificate.domain_validation_options[0]
        proof = aws.route53.Record(
            f"{name}-proof",
            zone_id=args.zone,
            name=option.resource_record_name,
            type=option.resource_record_type,
            records=[option.resource_record_value],
            ttl=300,
            allow_overwrite=True,  # that of another certificate for the same name in this account is the same
            opts=child,
        )
        issued = aws.acm.CertificateValidation(
            f"{name}-issued",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[proof.fqdn],
            region=args.region,
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create=f"{_VALIDATED_MINUTES}m")
            ),
        )
        self.certificate = issued.certificate_arn
        self.register_outputs({"certificate": self.certificate})

    def point(self, address: pulumi.Input[str]) -> pulumi.Output[str]:
        """The name, once it points to a network load balancer."""
        args, invoke = self._args, pulumi.InvokeOptions(parent=self)
        balancers = aws.lb.get_hosted_zone_id(load_balancer_type="network", region=args.region, opts=invoke)
        record = aws.route53.Record(
            f"{self._name}-record",
            zone_id=args.zone,
            name=args.hostname,
            type="A",
            aliases=[{"name": address, "zone_id": balancers.id, "evaluate_target_health": False}],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return record.name
