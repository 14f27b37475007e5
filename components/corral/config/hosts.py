"""What a stack says of its hosts: a union told apart by `kind`, so that no host has a key that means nothing to it.

A host the catalog knows needs only its name (`groq: {}`); its kind is then that name.  Every field that overrides the
catalog is optional here and has no default: what is left out is the catalog's to say.

The tags of unions stand in angle brackets, which no name in a stack can hold: pydantic puts them into an error's place.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from corral.catalog.units import (
    Auth,
    Bytes,
    Image,
    Lifecycle,
    ModelName,
    Price,
    ReservationId,
    Source,
    Strict,
    Subdomain,
    Text,
    Url,
    Variable,
    stated,
)

OPENAI = "openai"
"""The kind of a host the catalog does not know: any OpenAI-compatible URL."""


class ModelAtHost(Strict):
    """What a stack says of one model at one host; each field left out is the catalog's to say."""

    id: Text | None = None
    """The host's own id of the model."""
    context: Annotated[int, Field(gt=0)] | None = None
    """Tokens of prompt and answer together."""
    output: Annotated[int, Field(gt=0)] | None = None
    """Tokens of an answer at most."""
    streaming: bool | None = None
    """Whether it can stream its answer."""
    tools: bool | None = None
    """Whether it calls tools."""
    tools_while_streaming: bool | None = None
    """Whether it calls tools in a streamed answer."""
    vision: bool | None = None
    """Whether it takes images."""
    lifecycle: Lifecycle | None = None
    """`available`, `{restricted: <to whom>}` or `{retired: <the last day>}`."""
    reaches: list[Text] | None = Field(default=None, min_length=1, examples=[["us-east-1", "us-west-2"]])
    """Every region in which a request may be processed."""
    price: Price | None = Field(default=None, examples=[{"input": 0.72, "output": 0.72}])
    """Dollars per million tokens."""


IdOrMore = Annotated[
    Annotated[Text, Tag("<id>")] | Annotated[ModelAtHost, Tag("<more>")],
    Discriminator(lambda value: "<more>" if isinstance(value, (dict, ModelAtHost)) else "<id>"),
]


class _Host(Strict):
    """What any host may say."""

    url: Url | None = None
    """The base URL, path prefix included: what stands in front of `/chat/completions`."""
    auth: Auth | None = None
    """How it wants to be shown its credential."""
    key_variable: Variable | None = None
    """The environment variable in which the local engine looks for the key."""
    ca: Text | None = None
    """A file of PEM certificates to trust for this host instead of the system's, relative to the stack file."""
    regions: list[Text] | None = Field(default=None, min_length=1, examples=[["us-east-1"]])
    """Where this host processes requests, for all its models."""
    models: dict[ModelName, IdOrMore] = Field(default={}, examples=[{"llama-3.3-70b": "Llama-3.3-70B"}])
    """Per model the host's own id, or more of what differs from the catalog."""


class Guardrail(Strict):
    """A Bedrock guardrail on everything that is asked of the host and answered by it."""

    strength: Literal["LOW", "MEDIUM", "HIGH"] = "MEDIUM"
    """How readily sexual, violent, hateful, insulting and criminal text and attacks on the prompt are blocked."""
    message: Text = "This request or its answer was blocked."
    """What a client reads instead of an answer."""


_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731)
"""The days for which CloudWatch can keep a log, up to two years."""


def _retention(days: int) -> int:
    if days not in _RETENTIONS:
        raise ValueError(f"is not a time for which CloudWatch keeps a log: write one of {_RETENTIONS}")
    return days


class InvocationLogs(Strict):
    """Bedrock's log of its invocations, in CloudWatch.  AWS keeps one such setting per account and region."""

    retention_days: Annotated[
        int, AfterValidator(_retention), Field(examples=[30], json_schema_extra={"enum": [*_RETENTIONS]})
    ] = 30
    """How many days an entry is kept."""
    prompts: bool = False
    """Whether prompts and answers are logged too, and not only who asked what model for how many tokens."""


class BedrockHost(_Host):
    """AWS Bedrock in one region."""

    kind: Literal["bedrock"]
    """May be left out where the host is called `bedrock`."""
    region: Text | None = None
    """The AWS region that is called; `aws:region` of the stack where it is left out."""
    accept_agreements: bool = False
    """Whether the stack may sign the agreement of a model that is offered under one only.  Llama is under none."""
    cost_tags: dict[Text, Text] = Field(default={}, examples=[{"team": "search"}])
    """Given tags, each model is called through an application inference profile that has them, for AWS's bills."""
    guardrail: Guardrail | None = Field(default=None, examples=[{"strength": "HIGH"}])
    """Left out: none."""
    invocation_logs: InvocationLogs | None = Field(default=None, examples=[{"retentionDays": 30}])
    """Left out: the account's setting stays as it is."""
    vpc_endpoint: bool = False
    """Whether the cluster calls Bedrock through an interface endpoint in its own VPC."""


class PrivateEndpoint(Strict):
    """An Azure private endpoint, through which alone the account is called."""

    subnet: Annotated[Text, Field(examples=["/subscriptions/…/virtualNetworks/hub/subnets/endpoints"])]
    """The resource id of the subnet it stands in."""
    location: Text | None = None
    """The Azure region of that subnet; the account's where it is left out."""
    dns_zones: list[Text] = Field(default=[])
    """The resource ids of the private DNS zones that are to know it: `privatelink.services.ai.azure.com`, ….
    Left out: the name is to be resolved by other means."""


class AzureHost(_Host):
    """Azure AI Foundry."""

    kind: Literal["azure"]
    """May be left out where the host is called `azure`."""
    location: Text | None = None
    """The Azure region of the account."""
    resource: Subdomain | None = None
    """The custom subdomain of an account that exists already: `https://<resource>.services.ai.azure.com`."""
    capacity: dict[ModelName, Annotated[int, Field(gt=0)]] = Field(default={}, examples=[{"llama-3.3-70b": 200}])
    """Per model the deployment's capacity in thousand tokens a minute; with `GlobalProvisionedManaged` in units."""
    versions: dict[ModelName, Text] = Field(default={}, examples=[{"llama-3.3-70b": "1"}])
    """Per model the version to deploy, in quotes; Azure's default of the day where it is left out.
    `az cognitiveservices account list-models` lists them."""
    sku: Literal["GlobalStandard", "GlobalProvisionedManaged"] = "GlobalStandard"
    """What is bought of Azure for each model: tokens as they are used, or provisioned throughput.  Llama is sold so
    only."""
    content_filter: Text | None = Field(default=None, examples=["Microsoft.DefaultV2"])
    """The name of the content filter (RAI policy) on each model; Azure's default where it is left out."""
    allow_from: list[Source] = Field(default=[], examples=[["203.0.113.0/24"]])
    """Public IPv4 addresses or ranges that may call the account, besides the cluster's own; or `anywhere`."""
    private_endpoint: PrivateEndpoint | None = Field(
        default=None, examples=[{"subnet": "/subscriptions/…/virtualNetworks/hub/subnets/endpoints"}]
    )
    """Given one, the account cannot be called from outside of it."""


class Reservation(Strict):
    """GPUs that are paid for already."""

    reservation: ReservationId
    """The id of a capacity reservation or a capacity block."""


def _purchase_tag(value: object) -> str | None:
    if value in ("onDemand", "spot"):
        return "<as they come>"
    return "<reserved>" if "reservation" in stated(value) else None


Purchase = Annotated[
    Annotated[Literal["onDemand", "spot"], Tag("<as they come>")] | Annotated[Reservation, Tag("<reserved>")],
    Discriminator(
        _purchase_tag,
        custom_error_type="predicate",
        custom_error_message="is none of: onDemand, spot, {reservation: <its id>}",
    ),
]


_SMALLEST_DISK = 80 * 2**30
"""What a node of EKS Auto Mode has by itself."""


def _disk(size: int) -> int:
    if size < _SMALLEST_DISK:
        raise ValueError("bytes are too little for an image and weights: take 80Gi or more, like 500Gi")
    return size


class Gpus(Strict):
    """The GPU nodes on which vLLM runs."""

    instance: Annotated[Text, Field(examples=["g6e.12xlarge"])]
    """The instance type of a node, as its label `node.kubernetes.io/instance-type` says it."""
    min: Annotated[int, Field(ge=0, examples=[1])]
    """Nodes at least; at 0 a model with a fallback that is always awake goes to sleep when nobody asks for it."""
    max: Annotated[int, Field(gt=0, examples=[4])]
    """Nodes at most."""
    capacity_type: Purchase = "onDemand"
    """`onDemand`, `spot` or `{reservation: <its id>}`; for nodes that the stack's own cluster buys."""
    disk: Annotated[Bytes, AfterValidator(_disk)] = 500 * 2**30
    """Of a node, for images and weights: 80Gi at least."""
    count: Annotated[int, Field(gt=0)] | None = None
    """GPUs of a node, where the catalog does not know the instance type."""
    memory: Bytes | None = None
    """Of one GPU, where the catalog does not know the instance type."""
    parallel: Annotated[int, Field(gt=0)] | None = None
    """GPUs of one server, where the catalog does not know the model or another number is wanted."""


class VllmHost(_Host):
    """vLLM on GPUs of one's own: EKS, CoreWeave, on-prem."""

    kind: Literal["vllm"]
    """May be left out where the host is called `vllm`."""
    region: Text | None = None
    """Where the GPUs stand; `aws:region` of the stack where it is left out and no URL is given."""
    gpus: Gpus | None = Field(default=None, examples=[{"instance": "g6e.12xlarge", "min": 1, "max": 4}])
    """The nodes to provision; left out where vLLM runs already and has a URL, and for a simulator's image."""
    model_weights: dict[ModelName, Text] = Field(
        default={}, examples=[{"llama-3.3-70b": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"}]
    )
    """Per model the Hugging Face repository or `s3://` path its weights are loaded from."""
    image: Image = "vllm/vllm-openai:v0.29.0"
    """vLLM's image with its tag, `v0.18` or newer, and better with its digest too: `…:v0.29.0@sha256:…`."""


class HostedHost(_Host):
    """A hosted API: one that the catalog knows, or (`kind: openai`) any OpenAI-compatible URL."""

    kind: Annotated[str, Field(examples=[OPENAI])]
    """The host's entry in the catalog, or `openai`; may be left out where the host is called as its entry."""


CLASSES: dict[str, type[BedrockHost | AzureHost | VllmHost]] = {
    "bedrock": BedrockHost,
    "azure": AzureHost,
    "vllm": VllmHost,
}
"""The kinds with keys of their own; a host of any other kind is a `HostedHost`."""


def _host_tag(value: object) -> str:
    kind = stated(value).get("kind")
    return f"<{kind}>" if isinstance(kind, str) and kind in CLASSES else "<hosted>"


Host = Annotated[
    Annotated[BedrockHost, Tag("<bedrock>")]
    | Annotated[AzureHost, Tag("<azure>")]
    | Annotated[VllmHost, Tag("<vllm>")]
    | Annotated[HostedHost, Tag("<hosted>")],
    Discriminator(_host_tag),
]
