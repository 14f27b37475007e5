"""The cluster of the kubernetes engine and the load balancer on it: what a stack may say of them, and the defaults."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag

from corral.catalog.patterns import (
    BucketArn,
    CertificateArn,
    ChartVersion,
    DnsName,
    Image,
    KubernetesName,
    KubernetesVersion,
    Network,
    Origin,
    Pattern,
    PrincipalArn,
    SecretReference,
    Source,
    SubnetId,
    Url,
    VpcId,
    ranges,
)
from corral.catalog.units import Milliseconds, RetentionDays, Strict, Text, by_key


class Prometheus(Strict):
    """A Prometheus that scrapes the cluster, beside KEDA, which asks it for requests under way and vLLM's queues."""

    url: Url
    """The URL of Prometheus as it is reached from within the cluster."""
    namespace: Text = "monitoring"
    """The namespace in which Prometheus runs: from there, and from the gateway, vLLM may be reached."""
    scrape: Literal["serviceMonitor", "annotations"] = "serviceMonitor"
    """The way in which Prometheus learns what to scrape: monitors of the operator or the annotations of pods."""
    monitor_labels: dict[str, str] = Field(default={"release": "kube-prometheus-stack"}, examples=[{"release": "prom"}])
    """The labels of those monitors, by which the operator selects them; by default those that it asks for where
    its Helm release is called kube-prometheus-stack."""


_OLDEST_KUBERNETES = 33
"""The minor version of the oldest Kubernetes 1.x that is taken."""


def _new_enough(version: str) -> str:
    if int(version.removeprefix("1.")) < _OLDEST_KUBERNETES:
        raise ValueError(f"is too old: take 1.{_OLDEST_KUBERNETES} or newer")
    return version


def _vpc_sized(value: str) -> str:
    if not 16 <= IPv4Network(value).prefixlen <= 20:
        raise ValueError("is not of a size for a VPC with its subnets: take a prefix from /16 to /20")
    return value


class NewVpc(Strict):
    """A VPC that the stack makes."""

    cidr: Annotated[Network, AfterValidator(_vpc_sized)] = "10.64.0.0/16"
    """The IPv4 addresses of the VPC, a range with a prefix from /16 to /20."""
    zones: Annotated[int, Field(ge=2, le=6)] = 3
    """The number of availability zones, each with a private and a public subnet."""
    flow_logs: BucketArn | None = Field(default=None, examples=["arn:aws:s3:::team-logs/corral"])
    """The ARN of the S3 bucket, with a folder where it has one, that gets the VPC's flow logs: who called whom, and
    what was refused.  The bucket is there already; by default there are none."""


def _several(subnets: list[str]) -> list[str]:
    if len(set(subnets)) < 2:
        raise ValueError("with one subnet is not enough: name private ones in two zones or more")
    return subnets


class GivenVpc(Strict):
    """A VPC that is there, with its own way to the internet."""

    vpc: VpcId
    """The id of the VPC, like `vpc-0123456789abcdef0`."""
    subnets: Annotated[
        list[SubnetId],
        AfterValidator(_several),
        Field(examples=[["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]]),
    ]
    """The ids of private subnets in two zones or more, tagged `kubernetes.io/role/internal-elb: 1`."""


class _Cluster(Strict):
    prometheus: Prometheus | None = Field(
        default=None, examples=[{"url": "http://prometheus-operated.monitoring.svc.cluster.local:9090"}]
    )
    """The Prometheus by which KEDA scales vLLM and the Envoys.  Without one vLLM keeps its least number of servers,
    one at least, and the number of Envoys follows their CPU."""


INSTALLED_PROMETHEUS = "http://prometheus-operated.monitoring.svc.cluster.local:9090"
"""Where the Prometheus is that the stack installs: in the namespace and with the labels that are `Prometheus`'s own."""


class Addons(Strict):
    """Software beside the gateway's that a cluster which the stack makes does not bring along.  The word `install` has
    the stack install it, `present` says that it is there by now: nothing that needs it can be made before."""

    keda: Literal["install", "present"] | None = None
    """KEDA, which scales Envoys and vLLM by `corral:cluster.prometheus`: `install`, or `present` once it is there."""
    prometheus_operator: Literal["install", "present"] | None = None
    """The Prometheus operator, whose monitors tell Prometheus what to scrape: `install`, with a Prometheus that keeps
    two days on its node, or `present` once it is there."""
    external_secrets: Literal["install", "present"] | None = None
    """The External Secrets Operator, which gets what `corral:secretStore` names: `install`, with that store, which is
    AWS Secrets Manager in the stack's account and region then, or `present` once it and the ClusterSecretStore are
    there."""
    certificates: Literal["present"] | None = None
    """The issuer or the secret that `corral:gateway.certificate` names: `present` once it is on the cluster."""


PublicFrom = Annotated[
    Annotated[Literal["nobody"], Tag("<literal>")] | Annotated[list[Source], Tag("<list>")],
    by_key({}, literals=["nobody"], otherwise="<list>"),
]


class EksCluster(_Cluster):
    """A cluster on EKS that the stack makes, in `aws:region`."""

    version: Annotated[KubernetesVersion, AfterValidator(_new_enough)] = "1.35"
    """The Kubernetes version of the cluster, in quotes, 1.33 or newer."""
    network: Annotated[
        Annotated[GivenVpc, Tag("<given>")] | Annotated[NewVpc, Tag("<new>")],
        by_key({"vpc": "<given>", "subnets": "<given>"}, otherwise="<new>"),
    ] = NewVpc()
    """A new VPC (`{cidr: …, zones: …}`) or one that is there (`{vpc: …, subnets: […]}`); by default a new one with
    10.64.0.0/16 in three zones."""
    public_from: PublicFrom = Field(default=[], examples=[["203.0.113.0/24"]])
    """The IPv4 addresses or ranges on the internet from which the API server can be reached, `[anywhere]`, or `nobody`.
    In a VPC that the stack makes it must be said; in one that is there it is nobody by default."""
    admins: list[PrincipalArn] = Field(default=[], examples=[["arn:aws:iam::123456789012:role/Platform"]])
    """The ARNs of the IAM roles and users that administer the cluster, besides whoever runs `pulumi up`."""
    addons: Addons = Field(default=Addons(), examples=[{"keda": "install"}])
    """The software beside the gateway's that the stack installs on the cluster, or that is there by other means."""
    retention_days: RetentionDays = 90
    """The days for which CloudWatch keeps the logs of the control plane."""

    @property
    def public_ranges(self) -> list[str]:
        """The ranges from which the API server can be reached; empty: it answers within the VPC only."""
        if self.public_from == "nobody":
            return []
        return ranges(self.public_from)


class KubeconfigCluster(_Cluster):
    """A cluster that is there already: CoreWeave, on-prem, kind."""

    kubeconfig: Annotated[Text, Field(examples=["~/.kube/config"])]
    """The kubeconfig file, relative to the stack file; `~` is the home folder."""
    context: Text | None = None
    """The context of that file; by default its current one."""


Cluster = Annotated[
    Annotated[KubeconfigCluster, Tag("<kubeconfig>")] | Annotated[EksCluster, Tag("<eks>")],
    by_key({"kubeconfig": "<kubeconfig>"}, otherwise="<eks>"),
]


class GivenCertificate(Strict):
    """A certificate that is in the cluster already."""

    secret: Annotated[SecretReference, Field(examples=["ingress/llm-tls"])]
    """The secret of type `kubernetes.io/tls`, with its namespace."""


class IssuedCertificate(Strict):
    """A certificate for the gateway's host name that cert-manager gets and renews."""

    issuer: Annotated[KubernetesName, Field(examples=["letsencrypt"])]
    """The `ClusterIssuer` that issues the certificate."""


class LoadBalancerCertificate(Strict):
    """A certificate of AWS Certificate Manager: the load balancer ends TLS, and what follows stays within the VPC."""

    acm: Annotated[
        CertificateArn,
        Field(examples=["arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"]),
    ]
    """The ARN of the certificate."""


class HostedZoneCertificate(Strict):
    """A certificate of AWS Certificate Manager that the stack makes, with the gateway's name in a zone of Route 53."""

    hosted_zone: Annotated[
        str,
        Pattern(r"^Z[A-Z0-9]{1,31}$", "is not the id of a Route 53 zone: write it like Z0123456789ABCDEFGHIJ"),
        Field(examples=["Z0123456789ABCDEFGHIJ"]),
    ]
    """The id of the public zone, in the stack's AWS account, in which `hostname` lies: the certificate is validated
    there, and the name points to the load balancer."""


Certificate = Annotated[
    Annotated[GivenCertificate, Tag("<secret>")]
    | Annotated[IssuedCertificate, Tag("<issuer>")]
    | Annotated[LoadBalancerCertificate, Tag("<acm>")]
    | Annotated[HostedZoneCertificate, Tag("<zone>")],
    by_key(
        {"secret": "<secret>", "issuer": "<issuer>", "acm": "<acm>", "hostedZone": "<zone>", "hosted_zone": "<zone>"},
        choices="{secret: <namespace>/<name>}, {issuer: <ClusterIssuer>}, {acm: <ARN>}, {hostedZone: <zone id>}",
    ),
]


class Replicas(Strict):
    """The number of Envoys, each of which takes some 500 requests at a time."""

    min: Annotated[int, Field(ge=1, examples=[2])] = 2
    """The least number of Envoys."""
    max: Annotated[int, Field(ge=1, examples=[10])] = 10
    """The greatest number of Envoys."""


class Versions(Strict):
    """The versions of the load balancer's software.  Those by default are tested together; of others docs/registry.md
    says what is known."""

    envoy_gateway: ChartVersion = "v1.8.3"
    """The version of Envoy Gateway, of its definitions and of the Gateway API's."""
    ai_gateway: ChartVersion = "v1.1.0"
    """The version of Envoy AI Gateway, which is called Agent Router since, and of its definitions."""
    cert_manager: ChartVersion = "v1.21.2"
    """The version of cert-manager, where the stack installs it."""
    envoy: Image = "docker.io/envoyproxy/envoy:distroless-v1.38.3"
    """The image of Envoy that goes with that Envoy Gateway: it is taken where images come from `corral:registry`."""
    rate_limiter: Image = "docker.io/envoyproxy/ratelimit:1e50889b"
    """The image of the rate limiter that goes with that Envoy Gateway: it is taken where images come from
    `corral:registry`."""


class Gateway(Strict):
    """The load balancer of the kubernetes engine."""

    public: bool = False
    """The gateway can be reached from the internet (true).  Else it is reached from within the VPC on EKS, and on any
    other cluster from within the cluster only, as the network around it is not known here."""
    allow_from: list[Source] = Field(default=[], examples=[["203.0.113.0/24"]])
    """The IPv4 addresses or ranges from which a public gateway can be called, on whose load balancer they are; by
    default, and with `anywhere`, the whole internet."""
    hostname: DnsName | None = Field(default=None, examples=["llm.example.com"])
    """The name by which clients call the gateway; external-dns, where the cluster has it, points it at the load
    balancer."""
    certificate: Certificate | None = Field(default=None, examples=[{"issuer": "letsencrypt"}])
    """The certificate of the gateway: `{secret: …}`, `{issuer: …}`, `{acm: …}` or `{hostedZone: …}`.  By default
    cert-manager issues one by an authority that the stack makes, whose own certificate clients trust: `pulumi stack
    output ca`."""
    plain_http: bool = False
    """The gateway answers plain HTTP on port 80 as well (true): API keys and prompts then cross the network in the
    open.  By default it speaks TLS alone, on port 443."""
    origins: list[Origin] = Field(default=[], examples=[["https://chat.example.com"]])
    """The origins of web pages whose scripts may call the local engine from a browser, like `https://chat.example.com`;
    `*` is every page.  By default none may, and on the kubernetes engine none can."""
    replicas: Replicas = Replicas()
    """The number of Envoys between which the cluster scales; by default 2 to 10."""
    annotations: dict[str, str] = Field(
        default={}, examples=[{"service.beta.kubernetes.io/aws-load-balancer-subnets": "subnet-0123456789abcdef0"}]
    )
    """The annotations of the load balancer's Service, besides our own."""
    cert_manager: bool = True
    """The stack installs cert-manager, which renews inner certificates (true); false where the cluster has it."""
    count_tokens: bool = True
    """The tokens of every request are counted, for the access log.  Hosts are then asked for the usage of streams, each
    of which ends with a chunk that has no choices, whether its client asked for it or not.  Limits of tokens count in
    any case."""
    versions: Versions = Field(default=Versions(), examples=[{"aiGateway": "v1.1.0"}])
    """The versions of the software that the stack installs, where they are not to be those that go with Corral."""
    adapter_image: Image | None = Field(default=None, examples=["registry.example.com/corral-adapter:0.2.0"])
    """The image of the adapter with its tag, built by `images/adapter/Dockerfile` of Corral.  Hosts that do not speak
    OpenAI's protocol are then called through it: Replicate, which cannot be had on a cluster without, and Bedrock, for
    which Envoy AI Gateway translates less."""
    host_timeout: Milliseconds = 720_000
    """The time that a host has to be ready once the gateway and any other host are, like `12m`.  Then its models are
    routed without it, and `pulumi up` fails in the end and says what is missing; the next one adds it."""
    handover: Milliseconds = 100_000
    """The time in which a changed list of a model's hosts reaches every Envoy, before the list before it goes, like
    `100s`.  A cluster refreshes what it has given to a pod after 95 seconds at the latest."""
