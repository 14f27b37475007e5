"""The charts that the load balancer is made of, pinned, in the only place where their versions stand.

Envoy AI Gateway 1.1 goes with Envoy Gateway 1.8, Gateway API 1.5 and Kubernetes 1.32 or newer (says its own table).
Upgrade Envoy Gateway and its definitions first, and Envoy AI Gateway one minor version at a time.  Before Envoy Gateway
1.8.2 limits of tokens that routes share counted requests (its issue 9244), and Kubernetes 1.36 took no limits (9186).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chart:
    """A chart in an OCI registry."""

    url: str
    version: str


CERT_MANAGER = Chart("oci://quay.io/jetstack/charts/cert-manager", "v1.21.2")
GATEWAY_DEFINITIONS = Chart("oci://docker.io/envoyproxy/gateway-crds-helm", "v1.8.3")
ENVOY_GATEWAY = Chart("oci://docker.io/envoyproxy/gateway-helm", "v1.8.3")
AI_GATEWAY_DEFINITIONS = Chart("oci://docker.io/envoyproxy/ai-gateway-crds-helm", "v1.1.0")
AI_GATEWAY = Chart("oci://docker.io/envoyproxy/ai-gateway-helm", "v1.1.0")
