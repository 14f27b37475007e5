"""The types of the catalog, whose data is in the YAML files beside this one.

Each entry carries the day and the source it was seen at; the catalog is checked against the hosts (`corral verify`),
never trusted for ever.  None stands for what is unknown, where nothing else is written.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from corral.catalog.units import Auth, Day, Lifecycle, MicroDollars, Price, Requests, Strict, Text, TokensAMinute

Protocol = Literal["openai", "bedrock-converse", "replicate"]
"""The wire protocol a host speaks."""


_Positive = Annotated[int, Field(gt=0)]

OTHER_APIS = frozenset({"messages", "rerank"})
"""The facts of `Takes` that are paths of other APIs than OpenAI's."""


class Takes(Strict):
    """The parts of an API that a host takes (true) or does not (false); of OpenAI's it may take what is left out, of
    others it does not."""

    streaming: bool | None = None
    """The host can stream the model's answers (true), or cannot (false)."""
    tools: bool | None = None
    """The model calls tools there (true), or does not (false)."""
    tools_while_streaming: bool | None = None
    """The model calls tools in a streamed answer there (true), or does not (false)."""
    tool_choice: bool | None = None
    """A request can force a tool there, `tool_choice` (true), or cannot (false)."""
    vision: bool | None = None
    """The model takes images there (true), or does not (false)."""
    image_urls: bool | None = None
    """The host fetches images from `http` addresses (true), or takes `data:` URLs alone (false)."""
    json_mode: bool | None = None
    """The host takes `response_format: {type: json_object}` (true), or does not (false)."""
    json_schema: bool | None = None
    """The host takes `response_format: {type: json_schema}` (true), or does not (false)."""
    choices: bool | None = None
    """The host gives several answers to a request, `n` above 1 (true), or one alone (false)."""
    logprobs: bool | None = None
    """The host tells the probabilities of tokens, `logprobs` (true), or does not (false)."""
    seed: bool | None = None
    """The host takes a `seed` (true), or does not (false)."""
    penalties: bool | None = None
    """The host takes `presence_penalty` and `frequency_penalty` (true), or does not (false)."""
    completions: bool | None = None
    """The host serves the model at `/v1/completions` (true), or does not (false)."""
    responses: bool | None = None
    """The host serves the model at `/v1/responses` (true), or does not (false)."""
    embeddings: bool | None = None
    """The host serves the model at `/v1/embeddings` (true), or does not (false)."""
    messages: bool | None = None
    """The host serves the model at `/v1/messages`, as Anthropic's API has it (true), or does not (false, the
    default)."""
    rerank: bool | None = None
    """The host serves the model at `/v1/rerank`, as Cohere's API has it (true), or does not (false, the default)."""

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    @property
    def refused(self) -> frozenset[str]:
        """The facts that the host is known not to take, or, of another API than OpenAI's, is not known to take."""
        values = {name: getattr(self, name) for name in Takes.model_fields}
        return frozenset(
            name for name, value in values.items() if value is False or (value is None and name in OTHER_APIS)
        )


class TakesEntry(Takes):
    """What a host takes of requests for all of its models."""

    as_of: Day
    source: str


class Limit(Strict):
    """The most that a host answers; `corral plan` reckons with it, and nothing holds requests back for it."""

    concurrent: Requests | None = None
    """The requests that may be under way there at a time, by which `corral plan` reckons; by default what the catalog,
    or the cache of the GPUs, says."""
    requests_per_minute: Requests | None = None
    """The requests a minute that the host takes, by which `corral plan` reckons; by default what the catalog says."""
    tokens_per_minute: TokensAMinute | None = None
    """The tokens a minute of prompts and answers together that the host takes, like `200k`, by which `corral plan`
    reckons; by default Azure's `capacity`, else what the catalog says."""


class LimitEntry(Limit):
    """What a host takes of each of its models, unless more was agreed with it."""

    as_of: Day
    source: str


class ModelFacts(Takes):
    """The facts of one model at one host, be they the catalog's or a stack's."""

    context: _Positive | None = None
    """The most tokens that a prompt and its answer may have together."""
    output: _Positive | None = None
    """The most tokens that an answer may have."""
    reaches: list[Text] | None = Field(default=None, min_length=1, examples=[["us-east-1", "us-west-2"]])
    """The regions in which the host may process a request to the model, all of them."""
    price: Price | None = Field(default=None, examples=[{"input": 0.72, "output": 0.72}])
    """The price of the model there, in dollars per million tokens."""


class ModelEntry(ModelFacts):
    """One model at one host; the price is only there where genai-prices does not know it."""

    id: str
    """The host's own id."""
    lifecycle: Lifecycle = "available"
    callable_from: list[str] | None = None
    """The regions from which it can be called; None: from anywhere."""
    verified: bool = True
    """False where the entry rests on a third party or on inference, not on the host's own word."""
    as_of: Day
    source: str


class Source(Strict):
    """Where and when something was seen."""

    as_of: Day
    source: str


class SessionHint(Strict):
    """How a host is told which requests belong together, so that they find its cache; one of the two."""

    header: str | None = None
    """A header of the request."""
    member: str | None = None
    """A member of the request's body, at `/v1/chat/completions`."""
    as_of: Day
    source: str


class HostEntry(Strict):
    """One host."""

    title: str
    protocol: Protocol = "openai"
    url: str | None = None
    """May hold `{region}` or `{resource}`; None: known only once provisioned, or to be filled in by the stack."""
    auth: Auth
    key_variable: str | None = None
    regions: list[str] | None = None
    """The regions in which the host processes requests."""
    model_list: str = "/models"
    """The path after the base URL that lists the models that can be called."""
    prices: str | None = None
    """The provider's id in genai-prices."""
    price_source: Source | None = None
    """Of the prices of its entries; None: each has them from where it has all else."""
    placeholder: str | None = None
    """Why nothing can be called here unless the stack fills it in."""
    note: str | None = None
    takes: TakesEntry | None = None
    """Of all models that do not say otherwise."""
    limits: LimitEntry | None = None
    """Of each model by itself."""
    session_hint: SessionHint | None = None
    models: dict[str, ModelEntry] = Field(default={})
    as_of: Day
    source: str


class Shape(Strict):
    """The architecture of a model as far as it decides on which GPUs the model fits."""

    parameters: _Positive
    """Millions, all experts included."""
    layers: _Positive
    heads: _Positive
    """Attention heads; each GPU holds as many as any other."""
    kv_heads: _Positive
    """Heads of keys and values, which the cache holds."""
    head_size: _Positive
    """Numbers per head."""
    as_of: Day
    source: str


class ModelFamily(Strict):
    """One model, wherever it runs."""

    title: str
    placeholder: str | None = None
    """Why no host can serve it yet."""
    context: int | None = None
    vision: bool | None = None
    shape: Shape | None = None
    as_of: Day | None = None
    source: str | None = None


class InstanceEntry(Strict):
    """An instance type."""

    count: _Positive
    """GPUs."""
    hourly: MicroDollars | None = None
    """Dollars an hour in YAML; None: not sold on demand."""


class GpuEntry(Strict):
    """A GPU, and the instance types that have it."""

    memory: _Positive
    """MiB of one GPU."""
    instances: Annotated[dict[str, InstanceEntry], Field(min_length=1)]
    as_of: Day
    source: str


class Catalog(Strict):
    """The known hosts, models, regions and GPUs."""

    hosts: dict[str, HostEntry]
    models: dict[str, ModelFamily]
    places: dict[str, str]
    """The place that each region lies in: `us-east-1` → `us`.  A region that is not here is unknown."""
    gpus: dict[str, GpuEntry] = Field(default={})
    """The instance types that have each GPU; no instance type has two kinds."""
