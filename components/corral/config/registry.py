"""The registry that stands in for all others, and what a chart or an image is called there.

One rule.  What is at the mirror's host already stays as it is.  Any other name loses its registry (`docker.io` where it
names none) and gets the mirror in its place; `{registry}` in the mirror stands for the registry that was lost, as
pull-through caches want it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from corral.catalog.units import KubernetesName, Mirror, Strict, Text

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
