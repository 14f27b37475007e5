"""The charts of the load balancer's software, and every image of a stack.  Their versions are the stack's,
`corral:gateway.versions`, whose defaults stand in `config`.

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

from corral.config.cluster import Addons, EksCluster, Versions
from corral.config.hosts import VllmHost
from corral.config.stack import Stack
from corral.plan.plan import Plan


@dataclass(frozen=True)
class Chart:
    """A chart in an OCI registry, or in a mirror of its publisher's."""

    repository: str
    """With its registry: `docker.io/envoyproxy/gateway-helm`."""
    version: str
    images: tuple[str, ...] = ()
    """Those that its pods are made of, and the pods that they make."""
    url: str | None = None
    """Where its archive is, of a publisher that has no OCI registry."""

    @property
    def name(self) -> str:
        return self.repository.rpartition("/")[2]

    @property
    def archive(self) -> str:
        """The name of its file, as `helm pull` has it."""
        return f"{self.name}-{self.version}.tgz"


CONTROLLER_REPOSITORY = "docker.io/envoyproxy/ai-gateway-controller"
PROCESSOR_REPOSITORY = "docker.io/envoyproxy/ai-gateway-extproc"
CERT_MANAGER_REPOSITORIES = "quay.io/jetstack"
_CERT_MANAGER_PARTS = ("controller", "webhook", "cainjector", "acmesolver", "startupapicheck")

REDIS_IMAGE = "docker.io/library/redis:8.2.4-alpine3.22"
"""The one that Envoy AI Gateway 1.1.0 takes for its own example of limits (examples/token_ratelimit/redis.yaml)."""


def envoy_gateway_image(versions: Versions) -> str:
    return f"docker.io/envoyproxy/gateway:{versions.envoy_gateway}"


@dataclass(frozen=True)
class Charts:
    """All of them, in these versions."""

    definitions: Chart
    """Of Envoy Gateway and the Gateway API."""
    envoy_gateway: Chart
    ai_definitions: Chart
    ai_gateway: Chart
    cert_manager: Chart

    @classmethod
    def of(cls, versions: Versions) -> Charts:
        envoy, ai, cert = versions.envoy_gateway, versions.ai_gateway, versions.cert_manager
        of_envoy = (envoy_gateway_image(versions), versions.envoy, versions.rate_limiter, REDIS_IMAGE)
        of_cert = tuple(f"{CERT_MANAGER_REPOSITORIES}/cert-manager-{part}:{cert}" for part in _CERT_MANAGER_PARTS)
        return cls(
            Chart("docker.io/envoyproxy/gateway-crds-helm", envoy),
            Chart("docker.io/envoyproxy/gateway-helm", envoy, of_envoy),
            Chart("docker.io/envoyproxy/ai-gateway-crds-helm", ai),
            Chart(
                "docker.io/envoyproxy/ai-gateway-helm",
                ai,
                (f"{CONTROLLER_REPOSITORY}:{ai}", f"{PROCESSOR_REPOSITORY}:{ai}"),
            ),
            Chart("quay.io/jetstack/charts/cert-manager", cert, of_cert),
        )


_KEDA_VERSION, _OPERATOR_VERSION = "2.20.2", "v0.93.1"

KEDA = Chart(
    "kedacore.github.io/charts/keda",
    _KEDA_VERSION,
    tuple(
        f"ghcr.io/kedacore/{each}:{_KEDA_VERSION}"
        for each in ("keda", "keda-metrics-apiserver", "keda-admission-webhooks")
    ),
    f"https://kedacore.github.io/charts/keda-{_KEDA_VERSION}.tgz",
)
"""Its values and images are those of kedacore/charts at 1444d00d."""
PROMETHEUS = Chart(
    "ghcr.io/prometheus-community/charts/kube-prometheus-stack",
    "88.5.3",
    (
        f"quay.io/prometheus-operator/prometheus-operator:{_OPERATOR_VERSION}",
        f"quay.io/prometheus-operator/prometheus-config-reloader:{_OPERATOR_VERSION}",
        "quay.io/prometheus/prometheus:v3.14.0-distroless",
    ),
)
"""Its values and images are those of prometheus-community/helm-charts at cf408a29."""

EXTERNAL_SECRETS = Chart(
    "ghcr.io/external-secrets/charts/external-secrets",
    "2.9.0",
    ("ghcr.io/external-secrets/external-secrets:v2.9.0",),
)
"""Its values and image are those of external-secrets/external-secrets at cc5bfbc2."""


def addon_charts(stack: Stack) -> tuple[Chart, ...]:
    """Those that a stack installs beside the load balancer's."""
    addons = stack.cluster.addons if isinstance(stack.cluster, EksCluster) else Addons()
    wanted = (
        (addons.keda, KEDA),
        (addons.prometheus_operator, PROMETHEUS),
        (addons.external_secrets, EXTERNAL_SECRETS),
    )
    return tuple(chart for how, chart in wanted if how == "install")


def charts(stack: Stack) -> tuple[Chart, ...]:
    """Those that a stack of the kubernetes engine installs."""
    all_ = Charts.of(stack.gateway.versions)
    always = (*addon_charts(stack), all_.definitions, all_.envoy_gateway, all_.ai_definitions, all_.ai_gateway)
    return (*always, all_.cert_manager) if stack.gateway.cert_manager else always


def images(stack: Stack, plan: Plan) -> tuple[str, ...]:
    """Those that its pods are made of, as their publishers call them, each once."""
    return tuple(dict.fromkeys(_images(stack, plan)))


def _images(stack: Stack, plan: Plan) -> Iterator[str]:
    for chart in charts(stack):
        yield from chart.images
    if stack.gateway.adapter_image and any(target.adapted for _, target in plan.targets):
        yield stack.gateway.adapter_image
    for name in plan.hosts:
        host = stack.hosts[name]
        if isinstance(host, VllmHost) and host.url is None:
            yield host.image
