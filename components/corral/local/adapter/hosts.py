"""The hosts of the adapter: their descriptions, which its parent writes and which hold keys, and what a client of one
does, whatever its protocol.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, TypeAdapter

from corral.catalog.catalog import Takes
from corral.catalog.units import Exact, HostName
from corral.local.adapter.requests import ChatRequest

TOKEN_VARIABLE = "CORRAL_ADAPTER_TOKEN"  # noqa: S105 (its name, not its value)
"""The environment variable with the token that requests show as `Authorization: Bearer`."""


class AdaptedModel(Takes):
    """The plan's facts of a model at a host; None: unknown."""

    output: int | None = None
    """The most tokens of an answer."""

    def streams(self, *, with_tools: bool) -> bool:
        """Whether it is asked for a stream, and not for the whole answer, to be streamed on from here.

        Tools in a stream are asked for only where it is known that they can be.
        """
        return self.streaming is not False and (self.tools_while_streaming is True or not with_tools)


class _Host(Exact):
    name: HostName
    url: str
    """The base URL of its API."""
    ca: str | None
    """A PEM file of certificates to trust instead of the system's."""
    connect_timeout: Annotated[int, Field(gt=0)]
    """Milliseconds."""
    idle_timeout: Annotated[int, Field(gt=0)]
    """Milliseconds without a byte of its answer."""
    models: dict[str, AdaptedModel]
    """By the host's own model id."""


class AwsKey(Exact):
    """A key to sign with, instead of the credentials of this machine: that of a simulated host."""

    id: str
    secret: str = Field(repr=False)


class BedrockHost(_Host):
    """Bedrock in one region.  Without a key it is asked with the credentials that boto3 finds on this machine."""

    protocol: Literal["bedrock-converse"] = "bedrock-converse"
    region: str
    key: AwsKey | None


class ReplicateHost(_Host):
    """Replicate."""

    protocol: Literal["replicate"] = "replicate"
    key: str = Field(repr=False)


AdaptedHost = BedrockHost | ReplicateHost

HOSTS = TypeAdapter(tuple[Annotated[AdaptedHost, Field(discriminator="protocol")], ...])
"""Their JSON."""


class HostClient(Protocol):
    """A client of one host.

    `completion` is a chat completion, `chunks` are those of one.  Both raise ChatError; `chunks` the first time before
    any chunk.  Whoever cancels a request, or closes a stream, ends it at the host too, as far as the host's protocol
    lets him.
    """

    @property
    def host(self) -> AdaptedHost: ...

    async def completion(self, request: ChatRequest) -> dict[str, Any]: ...

    def chunks(self, request: ChatRequest) -> AsyncGenerator[dict[str, Any]]: ...

    async def close(self) -> None: ...
