"""Names of objects and headers in the cluster, and the way in which it writes times and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from corral.hosts.naming import LABEL_LENGTH, hashed

_SPANS = (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_SIZES = (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))


def duration(milliseconds: int) -> str:
    """`120000` → `2m`, `1500` → `1s500ms` (GEP-2257: at most five digits in front of a unit)."""
    written = ""
    for unit, length in _SPANS:
        count, milliseconds = divmod(milliseconds, length)
        written += f"{count}{unit}" if count else ""
    return written or "0s"


def quantity(size: int) -> str:
    """Bytes: `52428800` → `50Mi`."""
    for unit, length in _SIZES:
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)


@dataclass(frozen=True)
class GatewayNames:
    """The names of one gateway's objects, by which it stands beside another one on the same cluster."""

    gateway: str
    """The Gateway, its class, and what there is one of beside it."""

    @property
    def namespace(self) -> str:
        """That of the Gateway, its policies, routes and secrets."""
        return self.gateway

    @property
    def service(self) -> str:
        """The Service in front of the Envoys."""
        return f"{self.gateway}-gateway"

    @property
    def service_account(self) -> str:
        """The Envoys' account: who they are to the cloud, where a host wants no key but an identity (Pod Identity)."""
        return f"{self.gateway}-gateway"

    @property
    def deployment(self) -> str:
        """The Envoys' Deployment, called as Envoy Gateway 1.8.3 calls it by itself (`GetHashedName` in its
        internal/utils/misc.go): another name would be another one, and the one before would be deleted at once."""
        digest = sha256(f"{self.namespace}/{self.gateway}".encode()).hexdigest()
        return f"envoy-{self.namespace}-{self.gateway}-{digest[:8]}"


NAMES = GatewayNames("corral")
"""The names of a stack's gateway."""

ENVOY_NAMESPACE = "envoy-gateway-system"
"""Namespace of Envoy Gateway and the Envoys.  No Gateway may be here (envoyproxy/ai-gateway issue 1708)."""

AI_NAMESPACE, CERT_NAMESPACE = "envoy-ai-gateway-system", "cert-manager"
"""The namespaces of Envoy AI Gateway's controller and of cert-manager."""

KEDA_NAMESPACE, MONITORING_NAMESPACE, SECRETS_NAMESPACE = "keda", "monitoring", "external-secrets"
"""The namespaces of KEDA, of Prometheus and of the External Secrets Operator, where the stack installs them."""

TENANT_SECRET = "tenants"  # noqa: S105
"""The API keys, by tenant."""

CERTIFICATE_SECRET = "certificate"  # noqa: S105
"""The certificate that cert-manager gets for the Gateway."""

TENANT_HEADER = "x-corral-tenant"
"""The header that says who calls, by API key or token; a client cannot set it."""

MODEL_HEADER = "x-ai-eg-model"
"""The header in which Envoy AI Gateway puts the model that it read from the body."""

HOST_HEADER = "x-corral-host"
"""The header with the host that a request goes to, for the log; the host sees it."""

METADATA = "io.envoy.ai_gateway"
"""The metadata in which Envoy AI Gateway puts what it knows of a request."""


def object_name(*parts: str) -> str:
    """The name of the object that belongs to these parts: a host, a model, or a host and a model.

    It has the hash always, since it stands beside the names above; and it is a label at most, since Envoy AI Gateway
    makes longer names of a route's: `llama-3.3-70b` → `llama-3-3-70b-3026a7`.
    """
    return hashed(*parts, limit=LABEL_LENGTH)
