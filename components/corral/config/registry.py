"""The registry that stands in for all others, and what a chart or an image is called there.

One rule.  What is at the mirror's host already stays as it is.  Any other name loses its registry (`docker.io` where it
names none) and gets the mirror in its place; `{registry}` in the mirror stands for the registry that was lost, as
pull-through caches want it.  A cache that does not take every registry leaves names of the others as they are.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Tag
from typing_extensions import override

from corral.catalog.patterns import KubernetesName, Mirror, Pattern
from corral.catalog.units import Strict, Text, by_key

DOCKER_HUB = "docker.io"

_PLACEHOLDER = "{registry}"


def parts(name: str) -> tuple[str, str]:
    """Registry and path of a chart's or an image's name: `redis:8` is `library/redis:8` at `docker.io`."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
    else:
        registry, path = DOCKER_HUB, name
    return registry, path if registry != DOCKER_HUB or "/" in path else f"library/{path}"


class Registry(Strict):
    """The registry that stands in for all others, for every chart and image of the kubernetes engine."""

    mirror: Annotated[Mirror, Field(examples=["registry.example.com/mirror"])]
    """The registry, and a path in it where it has one, in place of docker.io, quay.io and all others:
    `docker.io/envoyproxy/gateway` becomes `registry.example.com/mirror/envoyproxy/gateway`.  `{registry}` in it stands
    for the registry that is replaced, as in `registry.example.com/{registry}`."""
    pull_secret: KubernetesName | None = None
    """The name of the secret with which pods pull, in each of the stack's namespaces.  The stack makes it there from
    `corral:keys.registry`, or, without that key, expects that something else does; by default pods pull without one."""
    ca: Text | None = None
    """The file of PEM certificates that are trusted beside the system's where charts are pulled from the mirror,
    relative to the stack file.  Nodes pull images with what they trust themselves."""

    @property
    def host(self) -> str:
        """The mirror's host, with its port where it has one."""
        return self.mirror.partition("/")[0]

    def mirrored(self, name: str) -> str:
        """What the chart or the image of this name is called at the mirror."""
        registry, path = parts(name)
        if registry == self.host:
            return name
        return f"{self.mirror.replace(_PLACEHOLDER, registry)}/{path}"


_EXAMPLE = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/docker-hub-AbCdEf"
_SecretArn = Annotated[
    str,
    Pattern(
        r"^arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:ecr-pullthroughcache/[a-zA-Z0-9/_+=.@-]+$",
        "is not the ARN of a secret for ECR, whose name has to begin with ecr-pullthroughcache/: write it like "
        f"{_EXAMPLE}",
    ),
    Field(examples=[_EXAMPLE]),
]


class Upstreams(Strict):
    """The registries behind the cache that ask who pulls."""

    docker_hub: _SecretArn
    """The ARN of the secret in AWS Secrets Manager with the `username` and `accessToken` for docker.io."""
    github: _SecretArn | None = None
    """The ARN of the secret for ghcr.io; by default images are pulled from there past the cache."""

    @property
    def credentials(self) -> dict[str, str]:
        """The secrets by registry."""
        each = {DOCKER_HUB: self.docker_hub, "ghcr.io": self.github}
        return {registry: arn for registry, arn in each.items() if arn}


class PullThrough(Strict):
    """A cache for images in ECR, in the account and the region of a cluster on EKS that the stack makes."""

    pull_through: Annotated[Upstreams, Field(examples=[{"dockerHub": _EXAMPLE}])]
    """The secrets with which ECR pulls from registries that ask for credentials.  It pulls from quay.io,
    registry.k8s.io and public.ecr.aws without, and what is at any other registry is pulled from there."""


class Cache(Registry):
    """A registry that stands in for some."""

    upstreams: frozenset[str]

    @override
    def mirrored(self, name: str) -> str:
        return super().mirrored(name) if parts(name)[0] in self.upstreams else name


RegistryOrCache = Annotated[
    Annotated[PullThrough, Tag("<cache>")] | Annotated[Registry, Tag("<mirror>")],
    by_key({"pullThrough": "<cache>", "pull_through": "<cache>"}, otherwise="<mirror>"),
]
