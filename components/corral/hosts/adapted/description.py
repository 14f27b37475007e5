"""What the adapter is told of the hosts that it translates for: by its parent on one machine, by a file on a cluster.
Descriptions hold keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from corral.catalog.catalog import Takes
from corral.catalog.patterns import HostName
from corral.catalog.units import Exact
from corral.plan.plan import Plan

TOKEN_VARIABLE = "CORRAL_ADAPTER_TOKEN"  # noqa: S105 (its name, not its value)
"""The environment variable with the token that requests show as `Authorization: Bearer`."""

HEALTH_PATH = "/health"
"""Answered without a token, once there are hosts."""

STATE_FILE = "adapter.json"
"""The file, in the folder that the adapter is given on a cluster, with `AdapterState`."""


class AdaptedModel(Takes):
    """The plan's facts of a model at a host; None: unknown."""

    output: int | None = None
    """The most tokens of an answer."""
    moves_on: bool = False
    """Whether a request that the host cannot take is refused with a status by which another host is asked: on a
    cluster, whose gateway reads no header of a refusal, where the model has another host."""

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
    credentials: str | None = None
    """A hash of the file of credentials that boto3 is to read, where it changes: another one is read anew."""
    parameters: dict[str, Any] = Field(default={})
    """Those of Converse that each request gets: `guardrailConfig`."""


class ReplicateHost(_Host):
    """Replicate."""

    protocol: Literal["replicate"] = "replicate"
    key: str = Field(repr=False)


AdaptedHost = BedrockHost | ReplicateHost

_Described = Annotated[AdaptedHost, Field(discriminator="protocol")]

HOSTS = TypeAdapter(tuple[_Described, ...])
"""Their JSON."""


class Limits(Exact):
    """What a process of the adapter takes."""

    body: int
    """Bytes of a request."""
    concurrent: int
    """Requests under way."""


class AdapterState(Exact):
    """All that the adapter of a cluster is told, in one file: another one is taken as it stands there."""

    token: str = Field(repr=False)
    limits: Limits
    drain_timeout: int
    """Milliseconds for what was begun when it is to end."""
    hosts: tuple[_Described, ...]


def model_facts(plan: Plan, host: str, *, on_cluster: bool) -> dict[str, AdaptedModel]:
    """By model.  Drained hosts of a model count as others, so that no share edit changes a description."""
    return {
        model.name: AdaptedModel(
            output=target.output, moves_on=on_cluster and len(model.targets) > 1, **target.takes.model_dump()
        )
        for model, target in plan.targets
        if target.host == host
    }
