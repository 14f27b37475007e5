"""The stack: one environment, as an operator declares it.  Defaults stand here and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from corral.catalog.patterns import (
    Address,
    AwsAccount,
    AzureSubscription,
    HostName,
    ModelName,
    PolicyArn,
    SessionHeaderName,
    TenantName,
)
from corral.catalog.units import Bytes, Milliseconds, Requests, Residency, Strict, Text, Tokens, TokensAMinute, by_key
from corral.config.cluster import Cluster, EksCluster, Gateway
from corral.config.hosts import Host
from corral.config.ramps import Ramp
from corral.config.registry import Registry, RegistryOrCache
from corral.config.secret_store import SecretStore
from corral.config.tenants import ISSUER_EXAMPLE, Issuer, Tenant


class Peak(Strict):
    """The most that clients ask of a model at once; `corral plan` says which hosts carry it."""

    tokens_per_minute: TokensAMinute | None = None
    """The tokens of prompts and answers in the busiest minute, like `800k`; by default unknown."""
    requests_per_minute: Requests | None = None
    """The requests in the busiest minute; by default unknown."""
    concurrent: Requests | None = None
    """The requests that are under way at a time in the busiest minute; by default unknown."""


class SessionHeader(Strict):
    """The header by which clients name their sessions."""

    header: Annotated[SessionHeaderName, Field(examples=["x-session-id"])]
    """The name of the header; a request without it goes to any host, by the shares."""


Affinity = Annotated[
    Annotated[Literal["prompt"], Tag("<literal>")] | Annotated[SessionHeader, Tag("<header>")],
    by_key({"header": "<header>"}, literals=["prompt"], choices="prompt, {header: <its name>}"),
]


class Mirror(Strict):
    """A candidate that gets copies of requests; nobody waits for its answers."""

    to: HostName
    """The candidate, a host at 0 in the model's `shares`."""
    percent: Annotated[int, Field(ge=1, le=100)]
    """The percentage of the model's requests that are copied to it, in whole numbers."""


class Model(Strict):
    """A model that clients ask for, and the hosts that serve it."""

    shares: Annotated[
        dict[HostName, Annotated[int, Field(ge=0, le=100)]],
        Field(min_length=1, examples=[{"bedrock": 60, "vllm": 40}]),
    ]
    """The percentage of the traffic that each host gets, in whole numbers that sum to 100.  A host at 0 is drained: it
    keeps its place only."""
    least_shares: dict[HostName, Annotated[int, Field(ge=0, le=100)]] = Field(default={}, examples=[{"azure": 20}])
    """The percentages that `corral advise` leaves these hosts at least, as where they are paid for; by default 0."""
    fallback: list[HostName] = Field(default=[], examples=[["deepinfra", "lab"]])
    """The hosts that are tried, in this order, when the sharing hosts cannot answer or are full; by default
    none."""
    affinity: Affinity | None = Field(default=None, examples=[{"header": "x-session-id"}])
    """The requests of a session go to the same host, which has their prompt in its cache: those with the same header,
    `{header: x-session-id}`, or `prompt`, with the same system prompt and first message of the user.  The shares are
    then those of sessions.  By default each request goes to any host."""
    mirror: Mirror | None = Field(default=None, examples=[{"to": "vllm", "percent": 5}])
    """The candidate to which some requests are copied, so that `corral compare` can tell how it answers; by default
    there is none."""
    residency: Residency | None = Field(default=None, min_length=1, examples=[["us"]])
    """The places or single regions in which this model's requests may be processed; by default the stack's."""
    volume: Tokens | None = None
    """The expected tokens a month, like `900M`, from which a plan takes its sum of money."""
    peak: Peak | None = Field(default=None, examples=[{"tokensPerMinute": "800k", "requestsPerMinute": 600}])
    """The busiest minute, from which a plan says whether the hosts carry it, all of them and with any one of them lost;
    by default that is not looked at."""


class CertificateFiles(Strict):
    """A certificate for the local engine, in files that are read again when they change."""

    cert_file: Annotated[Text, Field(examples=["tls.crt"])]
    """The PEM file with the certificate and those between it and its authority, relative to the stack file."""
    key_file: Annotated[Text, Field(examples=["tls.key"])]
    """The PEM file with the certificate's private key, without a passphrase, relative to the stack file."""


class Engine(Strict):
    """The engine that carries the plan out, and its settings."""

    kind: Literal["local", "kubernetes"] = "local"
    """The kind of the engine: `local` is one machine, `kubernetes` a cluster."""
    address: Address = "127.0.0.1"
    """The IP address on which the local engine listens.  Any but loopback needs tenants."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """The port on which the local engine listens; 0 takes a free one."""
    certificate: CertificateFiles | None = Field(default=None, examples=[{"certFile": "tls.crt", "keyFile": "tls.key"}])
    """The certificate of the local engine: `{certFile: …, keyFile: …}`.  Without one it speaks plain HTTP."""
    page_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """The port on which the local engine serves its page, always on loopback; 0 takes a free one."""
    simulate: Literal["never", "withoutKey", "always"] = "never"
    """The hosts that the local engine replaces by simulated ones: none, those it has no key for, or all."""
    connect_timeout: Milliseconds = 5_000
    """The time that connecting to a host may take, like `5s`."""
    idle_timeout: Milliseconds = 600_000
    """The time for which a host may be silent, before its first byte or within a stream, until it is given up.  A host
    is silent until an answer that is not streamed is whole."""
    drain_timeout: Milliseconds = 600_000
    """The time in which a removed host may finish what it has begun."""
    ejection_time: Milliseconds = 10_000
    """The time for which a failing host is left out at first; it grows with each time after that."""
    body_limit: Bytes = 50 * 2**20
    """The size of the largest request body, like `50Mi`."""
    concurrent_requests: Annotated[int, Field(ge=1)] | None = None
    """The requests that may be under way at once, all tenants together, of which tenants of priority `normal` have four
    fifths; by default they are not limited."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """The days for which the local engine keeps its log of requests."""
    trace_headers: bool = True
    """The answers carry the hash of the plan that routed them (`x-corral-plan`), and on the local engine the git commit
    of the stack file (`x-corral-commit`), which is the default; with false the log alone has them."""


class Accounts(Strict):
    """The accounts that the stack is made in, and no others."""

    aws: AwsAccount | None = Field(default=None, examples=["123456789012"])
    """The number of the AWS account, in quotes; with other credentials `pulumi up` makes nothing.  By default any."""
    azure: AzureSubscription | None = Field(default=None, examples=["01234567-89ab-cdef-0123-456789abcdef"])
    """The id of the Azure subscription; with other credentials `pulumi up` makes nothing.  By default any."""
    permissions_boundary: PolicyArn | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:policy/corral-boundary"]
    )
    """The ARN of the IAM policy that bounds every role which the stack makes on AWS; by default none does."""


class Secret(Strict):
    """A value that Pulumi encrypted.  It is never printed, and never decrypted outside of Pulumi."""

    secure: Annotated[Text, Field(repr=False)]
    """The text that `pulumi config set --secret` wrote."""


OneOrMore = Annotated[
    Annotated[Secret, Tag("<one>")] | Annotated[list[Secret], Tag("<more>")],
    Discriminator(lambda value: "<more>" if isinstance(value, list) else "<one>"),
]


class Stack(Strict):
    """`stacks/Pulumi.<name>.yaml`: the `corral:` keys of its `config`."""

    name: Annotated[str, Field(exclude=True)]
    region: Annotated[str | None, Field(exclude=True)] = None
    """`aws:region` of the file."""
    hosts: Annotated[dict[HostName, Host], Field(min_length=1, examples=[{"bedrock": {"region": "us-east-1"}}])]
    """The hosts on which Llama runs; a host the catalog knows needs only its name (`groq: {}`)."""
    models: Annotated[
        dict[ModelName, Model], Field(min_length=1, examples=[{"llama-3.3-70b": {"shares": {"bedrock": 100}}}])
    ]
    """The models that clients ask for, and the hosts that serve them."""
    ramps: dict[ModelName, Ramp] = Field(default={}, examples=[{"llama-3.3-70b": {"to": {"vllm": 40}, "step": 10}}])
    """The moves that `corral ramp` makes in steps, by model; by default shares move when somebody edits them."""
    residency: Residency | None = Field(default=None, min_length=1, examples=[["us"]])
    """The places or single regions in which requests may be processed, and nowhere else; by default anywhere.  A model
    may say otherwise."""
    engine: Engine = Engine()
    """The engine that carries the plan out, on one machine (the default) or on a cluster, and its settings."""
    cluster: Annotated[Cluster, Field(examples=[{"kubeconfig": "~/.kube/config", "context": "kind-corral"}])] = (
        EksCluster()
    )
    """The cluster of the kubernetes engine: a new one on EKS, which is the default, or one that a kubeconfig names."""
    accounts: Accounts = Field(default=Accounts(), examples=[{"aws": "123456789012"}])
    """The accounts that the stack may be made in, and what bounds the roles that it makes; by default any account, and
    no bound."""
    protect: bool = False
    """Pulumi refuses to delete or replace the cluster, its encryption key, log groups and Azure's account, and EKS to
    delete the cluster, whoever asks (true); by default they go when the stack says so."""
    gateway: Gateway = Gateway()
    """The load balancer of the kubernetes engine: how it is reached, and how large it gets."""
    registry: RegistryOrCache | None = Field(default=None, examples=[{"mirror": "registry.example.com/mirror"}])
    """The registry from which the kubernetes engine takes every chart and image (`{mirror: …}`), or a cache in ECR for
    its images (`{pullThrough: …}`); by default the registries of those who publish them."""
    secret_store: SecretStore | None = Field(
        default=None, examples=[{"name": "aws-secrets-manager", "keys": {"deepinfra": "corral/deepinfra"}}]
    )
    """The store from which the External Secrets Operator gets keys of hosts for the kubernetes engine, instead of
    `corral:keys`: they then never pass through Pulumi or its state.  By default none does."""
    tenants: dict[TenantName, Tenant] | None = Field(
        default=None, min_length=1, examples=[{"search": {"tokensPerMinute": "200k"}, "support": {}}]
    )
    """The callers, with what each may ask for, and how much.  By default this machine alone calls the local engine,
    without a key, and one tenant, named `default`, the kubernetes engine."""
    issuers: list[Issuer] = Field(default=[], examples=[[ISSUER_EXAMPLE]])
    """The issuers that vouch for tenants by a JSON Web Token, instead of a key."""
    accept: list[Text] = Field(default=[], examples=[["parity/llama-3.3-70b/lab"]])
    """The names of warnings that were read and accepted."""
    keys: dict[HostName, Secret] = Field(default={}, examples=[{"deepinfra": {"secure": "v1:…"}}])
    """The key of each host, encrypted: `pulumi config set --secret --path 'corral:keys.<host>'`.  `huggingface` is the
    token with which vLLM loads gated weights, `registry` the user and password, as `user:password`, with which pods
    pull from `corral:registry`."""
    tenant_keys: dict[TenantName, OneOrMore] = Field(default={}, examples=[{"search": {"secure": "v1:…"}}])
    """The API keys of tenants for the kubernetes engine, encrypted: `pulumi config set --secret --path
    'corral:tenantKeys.<tenant>'`; a list of them while they are changed.  It makes a key for a tenant without one."""

    @property
    def mirror(self) -> Registry | None:
        """The registry that stands in for all others."""
        return self.registry if isinstance(self.registry, Registry) else None
