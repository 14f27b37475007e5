"""What a stack says of its load balancer on a cluster."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import Discriminator, Field, Tag

from components.config.types import CertificateArn, DnsName, KubernetesName, Milliseconds, SecretReference, Strict


class GivenCertificate(Strict):
    """A certificate that is in the cluster already."""

    secret: SecretReference
    """The secret of type `kubernetes.io/tls`, with its namespace."""


class IssuedCertificate(Strict):
    """A certificate for the gateway's host name that cert-manager gets and renews."""

    issuer: KubernetesName
    """The `ClusterIssuer` that issues it."""


class LoadBalancerCertificate(Strict):
    """A certificate of AWS Certificate Manager: the load balancer ends TLS, and what follows stays within the VPC."""

    acm: CertificateArn
    """The certificate's ARN."""


def _certificate_tag(value: object) -> str | None:
    said = cast("dict[str, Any]", value) if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((f"<{key}>" for key in ("secret", "issuer", "acm") if key in said), None)


Certificate = Annotated[
    Annotated[GivenCertificate, Tag("<secret>")]
    | Annotated[IssuedCertificate, Tag("<issuer>")]
    | Annotated[LoadBalancerCertificate, Tag("<acm>")],
    Discriminator(
        _certificate_tag,
        custom_error_type="predicate",
        custom_error_message="is none of: {secret: <namespace>/<name>}, {issuer: <ClusterIssuer>}, {acm: <ARN>}",
    ),
]


class Replicas(Strict):
    """How many Envoys answer; each takes some 500 requests at a time."""

    min: Annotated[int, Field(ge=1, examples=[2])] = 2
    """At least."""
    max: Annotated[int, Field(ge=1, examples=[10])] = 10
    """At most."""


class Gateway(Strict):
    """The load balancer of the kubernetes engine."""

    public: bool = False
    """Whether it can be reached from the internet.  On EKS it is else reached from within the VPC; on any other cluster
    from within the cluster only, as the network around it is not known here."""
    hostname: DnsName | None = Field(default=None, examples=["llm.example.com"])
    """The name clients call it by; external-dns, where the cluster has it, points it at the load balancer."""
    certificate: Certificate | None = Field(default=None, examples=[{"issuer": "letsencrypt"}])
    """What it proves its name with: `{secret: …}`, `{issuer: …}` or `{acm: …}`.  Without one it speaks plain HTTP."""
    replicas: Replicas = Replicas()
    """Of Envoy, between which the cluster scales."""
    annotations: dict[str, str] = Field(
        default={}, examples=[{"service.beta.kubernetes.io/aws-load-balancer-subnets": "subnet-0123456789abcdef0"}]
    )
    """Of the load balancer's Service, besides our own."""
    cert_manager: bool = True
    """Whether to install cert-manager, which renews inner certificates; false where the cluster has it."""
    count_tokens: bool = True
    """Whether the tokens of every request are counted, for the access log.  Hosts are then asked for the usage of
    streams, each of which ends with a chunk that has no choices, whether its client asked for it or not.  Limits of
    tokens count in any case."""
    handover: Milliseconds = 100_000
    """How long another list of a model's hosts is left to reach every Envoy before the one before it goes.  A cluster
    refreshes what it has given to a pod after 95 seconds at the latest."""
