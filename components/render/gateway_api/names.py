"""What things are called in the cluster."""

from __future__ import annotations

from components.render.naming import LABEL, hashed

NAMESPACE = "corral"
"""Where the Gateway, its policies, routes and secrets are."""

ENVOY_NAMESPACE = "envoy-gateway-system"
"""Where Envoy Gateway and the Envoys run.  No Gateway may be here (envoyproxy/ai-gateway issue 1708)."""

SERVICE_ACCOUNT = "corral-gateway"
"""Of the Envoys: who they are to the cloud, where a host wants no key but an identity (Pod Identity)."""

SERVICE = "corral-gateway"
"""In front of the Envoys."""

GATEWAY = "corral"
"""The Gateway, and what there is one of beside it."""

TENANT_SECRET = "tenants"  # noqa: S105
"""The API keys, by tenant."""

CERTIFICATE_SECRET = "certificate"  # noqa: S105
"""The certificate that cert-manager gets for the Gateway."""

TENANT_HEADER = "x-corral-tenant"
"""Who calls, as the API key says; a client cannot set it."""


def object_name(*parts: str) -> str:
    """The name of the object that belongs to these parts: a host, a model, or a host and a model.

    It has the hash always, since it stands beside the names above; and it is a label at most, since Envoy AI Gateway
    makes longer names of a route's: `llama-3.3-70b` → `llama-3-3-70b-3026a7`.
    """
    return hashed(*parts, limit=LABEL)
