"""The stack: one environment, as an operator declares it.  Defaults stand here and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from corral.catalog.units import (
    Address,
    Bytes,
    HostName,
    Milliseconds,
    ModelName,
    Residency,
    Strict,
    TenantName,
    Text,
    Tokens,
)
from corral.config.cluster import Cluster, EksCluster, Gateway
from corral.config.hosts import Host
from corral.config.tenants import Issuer, Tenant


class Model(Strict):
    """A model clients ask for, and who serves it."""

    shares: Annotated[
        dict[HostName, Annotated[int, Field(ge=0, le=100)]],
        Field(min_length=1, examples=[{"bedrock": 60, "vllm": 40}]),
    ]
    """Per host its percentage of the traffic; together 100.  A host at 0 is drained: it keeps its place only."""
    fallback: list[HostName] = Field(default=[], examples=[["deepinfra", "lab"]])
    """Hosts tried, in this order, when the sharing hosts cannot answer."""
    residency: Residency | None = Field(default=None, min_length=1, examples=[["us"]])
    """For this model, instead of the stack's."""
    volume: Tokens | None = None
    """Expected tokens a month; gives plans a sum of money."""


class Engine(Strict):
    """What carries the plan out, and its settings."""

    kind: Literal["local", "kubernetes"] = "local"
    """`local`: one machine; `kubernetes`: a cluster."""
    address: Address = "127.0.0.1"
    """The address the local engine listens on.  Any but loopback needs tenants."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0 takes a free one."""
    page_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """Where the local engine serves its page, always on loopback; 0 takes a free one."""
    simulate: Literal["never", "withoutKey", "always"] = "never"
    """Which hosts the local engine replaces by simulated ones: none, those it has no key for, or all."""
    connect_timeout: Milliseconds = 5_000
    """How long connecting to a host may take."""
    idle_timeout: Milliseconds = 120_000
    """How long a host may be silent, before its first byte or within a stream, until it is given up."""
    drain_timeout: Milliseconds = 600_000
    """How long a removed host may finish what it has begun."""
    ejection_time: Milliseconds = 10_000
    """How long a failing host is left out the first time; longer each time after that."""
    body_limit: Bytes = 50 * 2**20
    """The largest request body."""
    concurrent_requests: Annotated[int, Field(ge=1)] | None = None
    """Requests under way at once, all tenants together; of these, tenants of priority `normal` have four fifths.
    Left out: as many as come."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """How many days the local engine keeps its log of requests."""


class Secret(Strict):
    """A value that Pulumi encrypted.  Never printed, and never decrypted outside of Pulumi."""

    secure: Annotated[Text, Field(repr=False)]
    """What `pulumi config set --secret` wrote."""


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
    """Where Llama runs; a host the catalog knows needs only its name (`groq: {}`)."""
    models: Annotated[
        dict[ModelName, Model], Field(min_length=1, examples=[{"llama-3.3-70b": {"shares": {"bedrock": 100}}}])
    ]
    """The models clients ask for, and who serves them."""
    residency: Residency | None = Field(default=None, min_length=1, examples=[["us"]])
    """Places or single regions in which requests may be processed; nowhere else.  A model may say otherwise."""
    engine: Engine = Engine()
    """Where the plan is carried out, on one machine or on a cluster, and with which settings."""
    cluster: Annotated[Cluster, Field(examples=[{"kubeconfig": "~/.kube/config", "context": "kind-corral"}])] = (
        EksCluster()
    )
    """The cluster of the kubernetes engine: a new one on EKS, or one that a kubeconfig names."""
    gateway: Gateway = Gateway()
    """How the kubernetes engine is reached, and how large it gets."""
    tenants: dict[TenantName, Tenant] | None = Field(
        default=None, min_length=1, examples=[{"search": {"tokensPerMinute": "200k"}, "support": {}}]
    )
    """Who may call, what each may ask for, and how much.  Left out: on the local engine this machine alone, without
    a key; on the kubernetes engine one tenant, named `default`."""
    issuers: list[Issuer] = Field(
        default=[],
        examples=[
            [
                {
                    "issuer": "https://login.example.com/",
                    "audiences": ["corral"],
                    "jwks": "https://login.example.com/keys",
                }
            ]
        ],
    )
    """Who may vouch for tenants by a JSON Web Token, instead of a key."""
    accept: list[Text] = Field(default=[], examples=[["parity/llama-3.3-70b/lab"]])
    """Names of warnings that were read and accepted."""
    keys: dict[HostName, Secret] = Field(default={}, examples=[{"deepinfra": {"secure": "v1:…"}}])
    """Per host its key, encrypted: `pulumi config set --secret --path 'corral:keys.<host>'`.

    `huggingface` is the token with which vLLM loads gated weights.
    """
    tenant_keys: dict[TenantName, OneOrMore] = Field(default={}, examples=[{"search": {"secure": "v1:…"}}])
    """For the kubernetes engine the API keys of tenants, encrypted: `pulumi config set --secret --path
    'corral:tenantKeys.<tenant>'`; a list of them while they are changed.  It makes a key where none is given."""
