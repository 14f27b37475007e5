"""What things are called in the cluster."""

from __future__ import annotations

import base64
import re
from hashlib import sha256

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

_LONGEST = 63
"""Characters of a DNS label (RFC 1123).  An object's name may have 253, but Envoy AI Gateway makes longer ones of a
route's name, and names become labels."""

_HASH = 10
"""Characters of base 32, 50 bits."""


def object_name(*parts: str) -> str:
    """The name of the object that belongs to these parts: a host, a model, or a host and a model.

    Lower-case letters, digits and `-`, at most 63.  It ends in a hash of the parts, so that no two lists of parts get
    one name, whatever they are made of and however long they are: `llama-3.3-70b` → `llama-3-3-70b-gatkpazo4a`.
    """
    words = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    digest = sha256("\0".join(parts).encode()).digest()
    suffix = base64.b32encode(digest).decode().lower()[:_HASH]
    return f"{words[: _LONGEST - _HASH - 1].rstrip('-')}-{suffix}"
