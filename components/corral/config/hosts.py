"""The hosts of a stack: a union told apart by `kind`, so that no host has a key that means nothing to it.

A host the catalog knows needs only its name (`groq: {}`); its kind is then that name.  Every field that overrides the
catalog is optional here and has no default: what is left out is the catalog's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, GetJsonSchemaHandler, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from corral.catalog.catalog import Limit, ModelFacts, Takes
from corral.catalog.patterns import (
    EntraId,
    Image,
    ModelName,
    Pattern,
    ReservationId,
    Source,
    Subdomain,
    TagKey,
    TagValue,
    Url,
    Variable,
)
from corral.catalog.units import (
    Amount,
    Auth,
    Bytes,
    Lifecycle,
    Milliseconds,
    RetentionDays,
    Strict,
    Text,
    by_key,
    fields_of,
)

OPENAI = "openai"
"""The kind of a host the catalog does not know: any OpenAI-compatible URL."""


class ModelAtHost(ModelFacts):
    """The facts of one model at one host that differ from the catalog; a fact that is left out is the catalog's."""

    id: Text | None = None
    """The id by which the host knows the model."""
    lifecycle: Lifecycle | None = None
    """The state of the model there: `available`, `{restricted: <to whom>}` or `{retired: <the last day>}`."""


IdOrMore = Annotated[
    Annotated[Text, Tag("<id>")] | Annotated[ModelAtHost, Tag("<more>")],
    Discriminator(lambda value: "<more>" if isinstance(value, (dict, ModelAtHost)) else "<id>"),
]


class Limits(Limit):
    """The limits of a host, on all its models together and on single ones."""

    per_model: dict[ModelName, Limit] = Field(
        default={}, examples=[{"llama-3.3-70b": {"requestsPerMinute": 800, "tokensPerMinute": "600k"}}]
    )
    """The limits of single models at the host, where they are not those that the catalog, Azure's `capacity` or the
    GPUs give."""


_LONGEST_WAIT_MILLISECONDS = 20_000
"""Clients give up soon after, and the local engine ends a request of which nothing has moved for 30 s."""


@dataclass(frozen=True)
class _Wait(Amount):
    """A time behind the one thing that a request can do at a full host but go on."""

    def read(self, value: object) -> int:
        behind = value[5:] if isinstance(value, str) and value.startswith("wait ") else None
        milliseconds = super().read(behind)
        if milliseconds > _LONGEST_WAIT_MILLISECONDS:
            raise ValueError(f"is longer than wait {super().written(_LONGEST_WAIT_MILLISECONDS)}, the longest there is")
        return milliseconds

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        text = super().__get_pydantic_json_schema__(schema, handler)
        return {**text, "pattern": text["pattern"].replace("^", "^wait ", 1)}


Overflow = Annotated[int, _Wait("a wait", (("ms", 1), ("s", 1_000)), ("wait 500ms", "wait 2s"))]
"""Milliseconds."""


class _Host(Strict):
    """The keys that a host of any kind may have."""

    url: Url | None = None
    """The base URL with its path prefix, which stands in front of `/chat/completions`; by default the catalog's."""
    auth: Auth | None = None
    """The form in which the host takes its credential; by default the catalog's.  With `entra` an Azure account is
    called with tokens of Microsoft Entra, which are renewed before they expire."""
    key_variable: Variable | None = None
    """The environment variable in which the local engine looks for the host's key; by default the catalog's."""
    key_file: Text | None = None
    """The file in which the local engine looks for the host's key instead, relative to the stack file; it takes another
    key as soon as that stands there.  On a cluster the key is that of `corral:keys`."""
    ca: Text | None = None
    """The file of PEM certificates that are trusted for this host, relative to the stack file; by default the system's
    certificates are."""
    regions: list[Text] | None = Field(default=None, min_length=1, examples=[["us-east-1"]])
    """The regions in which this host processes requests, for all its models; by default the catalog's."""
    takes: Takes = Field(default=Takes(), examples=[{"jsonSchema": False}])
    """The parts of OpenAI's API that the host takes (true) or not (false), for all its models; by default the
    catalog's."""
    limits: Limits = Field(default=Limits(), examples=[{"perModel": {"llama-3.3-70b": {"tokensPerMinute": "600k"}}}])
    """The most that this host takes, of all its models together and of single ones: facts by which `corral plan` says
    whether the peak is carried, and by which the local engine passes over a host that is full."""
    overflow: Overflow | None = Field(default=None, examples=["wait 2s"])
    """The time for which a request waits where this host is drawn for it and is full, like `wait 2s`, 20 s at most,
    before it goes on; by default it goes to the next host at once.  The kubernetes engine has none wait."""
    models: dict[ModelName, IdOrMore] = Field(default={}, examples=[{"llama-3.3-70b": "Llama-3.3-70B"}])
    """The host's own id per model, or a mapping with all that differs from the catalog."""


class Guardrail(Strict):
    """A Bedrock guardrail on every request to the host and on every answer."""

    strength: Literal["LOW", "MEDIUM", "HIGH"] = "MEDIUM"
    """The readiness to block sexual, violent, hateful, insulting and criminal text, and attacks on the prompt."""
    message: Text = "This request or its answer was blocked."
    """The text that a client reads instead of an answer."""


class InvocationLogs(Strict):
    """The log of invocations that Bedrock writes to CloudWatch; AWS keeps one such setting per account and region."""

    retention_days: RetentionDays = 30
    """The days for which CloudWatch keeps an entry."""
    prompts: bool = False
    """Prompts and answers are logged too (true), or only who asked which model for how many tokens (false)."""


class BedrockHost(_Host):
    """AWS Bedrock in one region, called with AWS credentials."""

    kind: Literal["bedrock"]
    """The kind of the host, `bedrock`; it may be left out where the host is called `bedrock`."""
    region: Text | None = None
    """The AWS region that is called; by default `aws:region` of the stack."""
    accept_agreements: bool = False
    """The stack may sign the agreement of a model that is offered under one only (true).  Llama is under none."""
    cost_tags: dict[TagKey, TagValue] = Field(default={}, examples=[{"team": "search"}])
    """The tags by which AWS's bills tell the costs apart.  With any, each model is called through an application
    inference profile that has them."""
    guardrail: Guardrail | None = Field(default=None, examples=[{"strength": "HIGH"}])
    """The guardrail on requests and answers; by default there is none."""
    invocation_logs: InvocationLogs | None = Field(default=None, examples=[{"retentionDays": 30}])
    """The log of invocations in CloudWatch; by default the account's setting stays as it is."""
    vpc_endpoint: bool = False
    """The cluster calls Bedrock through an interface endpoint in its own VPC (true), or over the internet (false)."""


class PrivateEndpoint(Strict):
    """An Azure private endpoint, through which alone the account is called."""

    subnet: Annotated[Text, Field(examples=["/subscriptions/…/virtualNetworks/hub/subnets/endpoints"])]
    """The resource id of the subnet in which the endpoint stands."""
    location: Text | None = None
    """The Azure region of that subnet; by default the account's."""
    dns_zones: list[Text] = Field(default=[])
    """The resource ids of the private DNS zones that get the endpoint's name, like `privatelink.services.ai.azure.com`.
    Without any, the name is to be resolved by other means."""


class Entra(Strict):
    """The service principal of Microsoft Entra by which a cluster calls an account that takes no keys."""

    tenant: Annotated[EntraId, Field(examples=["01234567-89ab-cdef-0123-456789abcdef"])]
    """The id of the tenant (directory)."""
    client: Annotated[EntraId, Field(examples=["01234567-89ab-cdef-0123-456789abcdef"])]
    """The application's id (client id), whose secret is in `corral:keys`."""
    principal: EntraId | None = None
    """The object id of the service principal, to which the stack gives the role on an account that it makes."""


class AzureHost(_Host):
    """Azure AI Foundry: an account that the stack makes, or one that exists."""

    kind: Literal["azure"]
    """The kind of the host, `azure`; it may be left out where the host is called `azure`."""
    location: Text | None = None
    """The Azure region of the account, which the stack needs to make one."""
    resource: Subdomain | None = None
    """The custom subdomain of an account that exists already: `https://<resource>.services.ai.azure.com`."""
    capacity: dict[ModelName, Annotated[int, Field(gt=0)]] = Field(default={}, examples=[{"llama-3.3-70b": 200}])
    """The capacity of each model's deployment, in thousand tokens a minute; in units with
    `GlobalProvisionedManaged`."""
    versions: dict[ModelName, Text] = Field(default={}, examples=[{"llama-3.3-70b": "1"}])
    """The version to deploy per model, in quotes; by default Azure's of the day.
    `az cognitiveservices account list-models` lists them."""
    sku: Literal["GlobalStandard", "GlobalProvisionedManaged"] = "GlobalStandard"
    """The form in which each model is bought: tokens as they are used, or provisioned throughput.  Azure sells Llama in
    these two only."""
    content_filter: Text | None = Field(default=None, examples=["Microsoft.DefaultV2"])
    """The name of the content filter (RAI policy) on each model; by default Azure's."""
    allow_from: list[Source] = Field(default=[], examples=[["203.0.113.0/24"]])
    """The public IPv4 addresses or ranges that may call the account, besides the cluster's own; or `anywhere`."""
    entra: Entra | None = Field(
        default=None,
        examples=[{"tenant": "01234567-89ab-cdef-0123-456789abcdef", "client": "01234567-89ab-cdef-0123-456789abcdef"}],
    )
    """The service principal by which a cluster calls the account, with `auth: entra`.  The local engine takes the
    credentials of the machine that it runs on."""
    private_endpoint: PrivateEndpoint | None = Field(
        default=None, examples=[{"subnet": "/subscriptions/…/virtualNetworks/hub/subnets/endpoints"}]
    )
    """The private endpoint of the account.  With one, the account cannot be called from outside of it; by default there
    is none."""


class Reservation(Strict):
    """GPUs that are paid for already."""

    reservation: ReservationId
    """The id of a capacity reservation or a capacity block, like `cr-0123456789abcdef0`."""
    otherwise: Literal["onDemand", "spot"] | None = None
    """The way in which nodes are bought that the reservation does not hold; by default there are none."""


Purchase = Annotated[
    Annotated[Literal["onDemand", "spot"], Tag("<literal>")] | Annotated[Reservation, Tag("<reservation>")],
    by_key(
        {"reservation": "<reservation>"},
        literals=["onDemand", "spot"],
        choices="onDemand, spot, {reservation: <its id>}",
    ),
]

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
"""As cron counts them."""


def _within_a_week(duration: int) -> int:
    if not 3_600_000 <= duration <= 6 * 86_400_000 or duration % 60_000:
        raise ValueError("is not a time in whole minutes from 1h to 144h")
    return duration


class Window(Strict):
    """A time of the week in which busy nodes may be replaced."""

    day: Literal["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
    """The day on which it begins, in UTC."""
    start: Annotated[
        str,
        Pattern(r"^([01][0-9]|2[0-3]):[0-5][0-9]$", 'is not a time of day: write it in quotes, like "03:00"'),
        Field(examples=["03:00"]),
    ]
    """The time at which it begins, in UTC and in quotes, like `"03:00"`."""
    duration: Annotated[Milliseconds, AfterValidator(_within_a_week), Field(examples=["4h"])]
    """The time for which a replacement may begin, like `4h`; from 1h to 144h."""

    @property
    def start_minute(self) -> int:
        """Of the week, which begins on Sunday."""
        hour, _, minute = self.start.partition(":")
        return (_DAYS.index(self.day) * 24 + int(hour)) * 60 + int(minute)


_LEAST_DISK_BYTES = 80 * 2**30
"""The disk that a node of EKS Auto Mode has by itself."""


def _disk(size: int) -> int:
    if size < _LEAST_DISK_BYTES:
        raise ValueError("bytes are too little for an image and weights: take 80Gi or more, like 500Gi")
    return size


class Gpus(Strict):
    """The GPU nodes on which vLLM runs."""

    instance: Annotated[Text, Field(examples=["g6e.12xlarge"])]
    """The instance type of a node, like its label `node.kubernetes.io/instance-type`."""
    alternatives: list[Text] = Field(default=[], max_length=9, examples=[["g6e.24xlarge"]])
    """The instance types that are taken, in this order, where `instance` is not to be had, with as many GPUs to a node
    and to a server; by default none."""
    min: Annotated[int, Field(ge=0, examples=[1])]
    """The least number of nodes.  At 0 a model with a fallback that is always awake goes to sleep when no request comes
    for it."""
    max: Annotated[int, Field(gt=0, examples=[4])]
    """The greatest number of nodes."""
    capacity_type: Purchase = "onDemand"
    """The way in which the stack's own cluster buys nodes: `onDemand`, `spot` (on demand where there is no spot) or
    `{reservation: <its id>}`."""
    maintenance: Window | None = Field(default=None, examples=[{"day": "saturday", "start": "03:00", "duration": "4h"}])
    """The time of the week in which a busy node of the stack's own cluster may be replaced by one with a newer image or
    other settings; by default it is only at the age of 20 days."""
    disk: Annotated[Bytes, AfterValidator(_disk)] = 500 * 2**30
    """The disk of a node, for images and weights, like `500Gi`; 80Gi at least."""
    count: Annotated[int, Field(gt=0)] | None = None
    """The number of GPUs of a node; by default the catalog's for the instance type."""
    memory: Bytes | None = None
    """The memory of one GPU, like `80Gi`; by default the catalog's for the instance type."""
    parallel: Annotated[int, Field(gt=0)] | None = None
    """The number of GPUs over which a server spreads a model; by default as many as the model needs."""

    @property
    def instances(self) -> tuple[str, ...]:
        """The instance types, the one that is preferred first, each once."""
        return tuple(dict.fromkeys((self.instance, *self.alternatives)))


class VllmHost(_Host):
    """vLLM on GPUs of one's own: on EKS, CoreWeave or on-prem."""

    kind: Literal["vllm"]
    """The kind of the host, `vllm`; it may be left out where the host is called `vllm`."""
    region: Text | None = None
    """The region in which the GPUs stand; by default `aws:region` of the stack, where there is no `url`."""
    gpus: Gpus | None = Field(default=None, examples=[{"instance": "g6e.12xlarge", "min": 1, "max": 4}])
    """The nodes to provision; left out where vLLM runs already and has a `url`, and for a simulator's image."""
    model_weights: dict[ModelName, Text] = Field(
        default={}, examples=[{"llama-3.3-70b": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"}]
    )
    """The Hugging Face repository or `s3://` path per model from which vLLM loads its weights."""
    image: Image = "vllm/vllm-openai:v0.29.0"
    """The image of vLLM with its tag, `v0.18` or newer, and better with its digest too: `…:v0.29.0@sha256:…`."""


class HostedHost(_Host):
    """A hosted API: one that the catalog knows, or (`kind: openai`) any OpenAI-compatible URL."""

    kind: Annotated[str, Field(examples=[OPENAI])]
    """The host's entry in the catalog, or `openai`; it may be left out where the host is called like its entry."""


CLASSES: dict[str, type[BedrockHost | AzureHost | VllmHost]] = {
    "bedrock": BedrockHost,
    "azure": AzureHost,
    "vllm": VllmHost,
}
"""The kinds with keys of their own; a host of any other kind is a `HostedHost`."""


def _host_tag(value: object) -> str:
    kind = fields_of(value).get("kind")
    return f"<{kind}>" if isinstance(kind, str) and kind in CLASSES else "<hosted>"


Host = Annotated[
    Annotated[BedrockHost, Tag("<bedrock>")]
    | Annotated[AzureHost, Tag("<azure>")]
    | Annotated[VllmHost, Tag("<vllm>")]
    | Annotated[HostedHost, Tag("<hosted>")],
    Discriminator(_host_tag),
]
