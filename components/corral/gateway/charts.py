"""The charts of the load balancer's software, and every image of a stack.  Their versions stand here and nowhere else.

Versions.  Envoy AI Gateway 1.1 goes with Envoy Gateway 1.8, Gateway API 1.5 and Kubernetes 1.32 or newer (its own
table).  Upgrade Envoy Gateway and its definitions first, and Envoy AI Gateway one minor version at a time.  Before
Envoy Gateway 1.8.2 limits of tokens that routes share counted requests (its issue 9244), and Kubernetes 1.36 took no
limits (9186).

A chart names its images itself, so they are listed here for those who copy them to a mirror, and are given to the chart
where a stack has one.  Envoy and the rate limiter go with Envoy Gateway (its api/v1alpha1/shared_types.go at v1.8.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from corral.config.hosts import VllmHost
from corral.config.stack import Stack
from corral.plan.plan import Plan


@dataclass(frozen=True)
class Chart:
    """A chart in an OCI registry."""

    repository: str
    """With its registry: `docker.io/envoyproxy/gateway-helm`."""
    version: str
    images: tuple[str, ...] = ()
    """Those that its pods are made of, and the pods that they make."""

    @property
    def name(self) -> str:
        return self.repository.rpartition("/")[2]

    @property
    def archive(self) -> str:
        """The name of its file, as `helm pull` has it."""
        return f"{self.name}-{self.version}.tgz"


_CERT_MANAGER, _ENVOY_GATEWAY, _AI_GATEWAY = "v1.21.2", "v1.8.3", "v1.1.0"

ENVOY_GATEWAY_IMAGE = f"docker.io/envoyproxy/gateway:{_ENVOY_GATEWAY}"
ENVOY_IMAGE = "docker.io/envoyproxy/envoy:distroless-v1.38.3"
RATE_LIMITER_IMAGE = "docker.io/envoyproxy/ratelimit:1e50889b"
CONTROLLER_REPOSITORY = "docker.io/envoyproxy/ai-gateway-controller"
PROCESSOR_REPOSITORY = "docker.io/envoyproxy/ai-gateway-extproc"
CERT_MANAGER_REPOSITORIES = "quay.io/jetstack"
_CERT_MANAGER_PARTS = ("controller", "webhook", "cainjector", "acmesolver", "startupapicheck")

REDIS_IMAGE = "docker.io/library/redis:8.2.4-alpine3.22"
"""The one that Envoy AI Gateway 1.1.0 takes for its own example of limits (examples/token_ratelimit/redis.yaml)."""

CERT_MANAGER = Chart(
    "quay.io/jetstack/charts/cert-manager",
    _CERT_MANAGER,
    tuple(f"{CERT_MANAGER_REPOSITORIES}/cert-manager-{part}:{_CERT_MANAGER}" for part in _CERT_MANAGER_PARTS),
)
GATEWAY_DEFINITIONS = Chart("docker.io/envoyproxy/gateway-crds-helm", _ENVOY_GATEWAY)
ENVOY_GATEWAY = Chart(
    "docker.io/envoyproxy/gateway-helm",
    _ENVOY_GATEWAY,
    (ENVOY_GATEWAY_IMAGE, ENVOY_IMAGE, RATE_LIMITER_IMAGE, REDIS_IMAGE),
)
AI_GATEWAY_DEFINITIONS = Chart("docker.io/envoyproxy/ai-gateway-crds-helm", _AI_GATEWAY)
AI_GATEWAY = Chart(
    "docker.io/envoyproxy/ai-gateway-helm",
    _AI_GATEWAY,
    (f"{CONTROLLER_REPOSITORY}:{_AI_GATEWAY}", f"{PROCESSOR_REPOSITORY}:{_AI_GATEWAY}"),
)


def charts(stack: Stack) -> tuple[Chart, ...]:
    """Those that a stack of the kubernetes engine installs."""
    always = (GATEWAY_DEFINITIONS, ENVOY_GATEWAY, AI_GATEWAY_DEFINITIONS, AI_GATEWAY)
    return (*always, CERT_MANAGER) if stack.gateway.cert_manager else always


def images(stack: Stack, plan: Plan) -> tuple[str, ...]:
    """Those that its pods are made of, as their publishers call them, each once."""
    return tuple(dict.fromkeys(_images(stack, plan)))


def _images(stack: Stack, plan: Plan) -> Iterator[str]:
    for chart in charts(stack):
        yield from chart.images
    for name in plan.hosts:
        host = stack.hosts[name]
        if isinstance(host, VllmHost) and host.url is None:
            yield host.image
