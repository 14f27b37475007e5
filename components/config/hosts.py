"""What a stack says of its hosts: a union told apart by `kind`, so that no host has a key that means nothing to it.

A host the catalog knows needs only its name (`groq: {}`); its kind is then that name.  Every field that overrides the
catalog is optional here and has no default: what is left out is the catalog's to say.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from components.config.types import Day, ModelName, Price, Strict

Auth = Literal["bearer", "api-key", "aws", "none"]
"""How a host wants to be shown its credential: `Authorization: Bearer`, `api-key:`, AWS credentials, or not at all."""


class Restricted(Strict):
    """Served, but not to everybody."""

    restricted: str
    """To whom, or under which condition."""


class Retired(Strict):
    """Gone, or announced to go."""

    retired: Day
    """The last day; may lie in the future."""


Lifecycle = Literal["available"] | Restricted | Retired


class ModelAtHost(Strict):
    """What a stack says of one model at one host; each field left out is the catalog's to say."""

    id: Annotated[str, Field(min_length=1)] | None = None
    """The host's own id of the model."""
    context: Annotated[int, Field(gt=0)] | None = None
    """Tokens of prompt and answer together."""
    output: Annotated[int, Field(gt=0)] | None = None
    """Tokens of an answer at most."""
    streaming: bool | None = None
    tools: bool | None = None
    tools_while_streaming: bool | None = None
    vision: bool | None = None
    lifecycle: Lifecycle | None = None
    reaches: list[str] | None = None
    """Every region in which a request may be processed."""
    price: Price | None = None


class _Host(Strict):
    """What any host may say."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    """The base URL, path prefix included: what stands in front of `/chat/completions`."""
    auth: Auth | None = None
    key_variable: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = None
    """The environment variable in which the embedded engine looks for the key."""
    ca: str | None = None
    """A file of PEM certificates to trust for this host instead of the system's, relative to the stack file."""
    regions: Annotated[list[str], Field(min_length=1)] | None = None
    """Where this host processes requests, for all its models."""
    models: dict[ModelName, Annotated[str, Field(min_length=1)] | ModelAtHost] = {}
    """Per model the host's own id, or more of what differs from the catalog."""


class BedrockHost(_Host):
    """AWS Bedrock in one region."""

    kind: Literal["bedrock"]
    region: str | None = None
    """The AWS region that is called; `aws:region` of the stack where it is left out."""


class AzureHost(_Host):
    """Azure AI Foundry."""

    kind: Literal["azure"]
    location: str | None = None
    resource: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")] | None = None
    """The custom subdomain of an account that exists already: `https://<resource>.services.ai.azure.com`."""
    capacity: dict[ModelName, Annotated[int, Field(gt=0)]] = {}
    """Per model the deployment's capacity in thousand tokens a minute."""


class Gpus(Strict):
    """The GPU nodes on which vLLM runs."""

    instance: str
    min: Annotated[int, Field(ge=0)]
    max: Annotated[int, Field(gt=0)]


class VllmHost(_Host):
    """vLLM on GPUs of one's own: EKS, CoreWeave, on-prem."""

    kind: Literal["vllm"]
    region: str | None = None
    """Where the GPUs stand; `aws:region` of the stack where it is left out and no URL is given."""
    gpus: Gpus | None = None
    weights: dict[ModelName, str] = {}
    """Per model the Hugging Face repository or `s3://` path its weights are loaded from."""


class HostedHost(_Host):
    """A hosted API: one that the catalog knows, or (`kind: openai`) any OpenAI-compatible URL."""

    kind: str


def _tag(value: object) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if kind in ("bedrock", "azure", "vllm") else "hosted"


Host = Annotated[
    Annotated[BedrockHost, Tag("bedrock")]
    | Annotated[AzureHost, Tag("azure")]
    | Annotated[VllmHost, Tag("vllm")]
    | Annotated[HostedHost, Tag("hosted")],
    Discriminator(_tag),
]
