"""What a stack says of its cluster: one that it makes on EKS, or one that is there already.

Which of the two is told apart by its shape: what names a `kubeconfig` is there already.  Defaults stand here.

What a stack says of its load balancer on a cluster.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Discriminator, Field, Tag

from corral.catalog.units import (
    CertificateArn,
    DnsName,
    KubernetesName,
    KubernetesVersion,
    Milliseconds,
    Network,
    PrincipalArn,
    SecretReference,
    Strict,
    SubnetId,
    Text,
    Url,
    VpcId,
)


class Prometheus(Strict):
    """A Prometheus that scrapes the cluster, beside KEDA, which asks it how long the queues are."""

    url: Url
    """As it is reached from within the cluster."""
    namespace: Text = "monitoring"
    """Where it runs: from there, and from the gateway, vLLM may be reached."""
    scrape: Literal["serviceMonitor", "annotations"] = "serviceMonitor"
    """How it is told what to scrape: by the operator's ServiceMonitor or by the annotations of pods."""


def _names(value: object, key: str) -> bool:
    """Whether a part, as it stands in YAML or read already, says something of the key."""
    return key in (cast("dict[str, Any]", value) if isinstance(value, dict) else getattr(value, "__dict__", {}))


def _vpc_sized(value: str) -> str:
    if not 16 <= IPv4Network(value).prefixlen <= 20:
        raise ValueError("is not of a size for a VPC with its subnets: take a prefix from /16 to /20")
    return value


class NewVpc(Strict):
    """A VPC that the stack makes."""

    cidr: Annotated[Network, AfterValidator(_vpc_sized)] = "10.64.0.0/16"
    """Its addresses."""
    zones: Annotated[int, Field(ge=2, le=6)] = 3
    """Availability zones, each with a private and a public subnet."""


def _several(subnets: list[str]) -> list[str]:
    if len(set(subnets)) < 2:
        raise ValueError("with one subnet is not enough: name private ones in two zones or more")
    return subnets


class GivenVpc(Strict):
    """A VPC that is there, with its own way to the internet."""

    vpc: VpcId
    """Its id."""
    subnets: Annotated[
        list[SubnetId],
        AfterValidator(_several),
        Field(examples=[["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]]),
    ]
    """Private ones in two zones or more, tagged `kubernetes.io/role/internal-elb: 1`."""


_RETENTION = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
"""The numbers of days for which CloudWatch keeps logs; not verified against PutRetentionPolicy."""


def _retained(days: int) -> int:
    if days not in _RETENTION:
        near = min(_RETENTION, key=lambda known: abs(known - days))
        raise ValueError(f"days are none that CloudWatch keeps logs for: take {near}")
    return days


class EksCluster(Strict):
    """A cluster on EKS that the stack makes, in `aws:region`."""

    version: KubernetesVersion = "1.35"
    """Of Kubernetes."""
    network: Annotated[
        Annotated[GivenVpc, Tag("<given>")] | Annotated[NewVpc, Tag("<new>")],
        Discriminator(lambda value: "<given>" if _names(value, "vpc") or _names(value, "subnets") else "<new>"),
    ] = NewVpc()
    """A new VPC (`{cidr: …, zones: …}`) or one that is there (`{vpc: …, subnets: […]}`)."""
    public_from: list[Network] = Field(default=[], examples=[["203.0.113.0/24"]])
    """From where on the internet the API server can be reached; empty: from within the VPC only."""
    admins: list[PrincipalArn] = Field(default=[], examples=[["arn:aws:iam::123456789012:role/Platform"]])
    """Who administers the cluster, beside the identity that makes it."""
    retention_days: Annotated[int, AfterValidator(_retained)] = 90
    """Days for which the control plane's logs are kept."""
    prometheus: Prometheus | None = Field(
        default=None, examples=[{"url": "http://prometheus-operated.monitoring.svc.cluster.local:9090"}]
    )
    """Without one vLLM keeps its least number of servers, one at least."""


class KubeconfigCluster(Strict):
    """A cluster that is there already: CoreWeave, on-prem, kind."""

    kubeconfig: Annotated[Text, Field(examples=["~/.kube/config"])]
    """The file, relative to the stack file; `~` is the home folder."""
    context: Text | None = None
    """The context of that file; its current one where it is left out."""
    prometheus: Prometheus | None = Field(
        default=None, examples=[{"url": "http://prometheus-operated.monitoring.svc.cluster.local:9090"}]
    )
    """Without one vLLM keeps its least number of servers, one at least."""


Cluster = Annotated[
    Annotated[KubeconfigCluster, Tag("<kubeconfig>")] | Annotated[EksCluster, Tag("<eks>")],
    Discriminator(lambda value: "<kubeconfig>" if _names(value, "kubeconfig") else "<eks>"),
]


class GivenCertificate(Strict):
    """A certificate that is in the cluster already."""

    secret: Annotated[SecretReference, Field(examples=["ingress/llm-tls"])]
    """The secret of type `kubernetes.io/tls`, with its namespace."""


class IssuedCertificate(Strict):
    """A certificate for the gateway's host name that cert-manager gets and renews."""

    issuer: Annotated[KubernetesName, Field(examples=["letsencrypt"])]
    """The `ClusterIssuer` that issues it."""


class LoadBalancerCertificate(Strict):
    """A certificate of AWS Certificate Manager: the load balancer ends TLS, and what follows stays within the VPC."""

    acm: Annotated[
        CertificateArn,
        Field(examples=["arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"]),
    ]
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
