"""Who may come to the pods of the gateway's software, and what these pods may be.

Policy.  In each namespace nobody comes to a pod but by a way that stands here.  The kubelet's probes do not count, as a
node may always call the pods that are on it, nor does what a pod calls itself: hosts may be anywhere, and where the API
server is behind its Service differs from cluster to cluster.  It calls webhooks from addresses that no label names.
Policies add up, so that a team may open another way by one of its own.

Envoy AI Gateway 1.1.0 takes the whole configuration of the Envoys from Envoy Gateway without TLS, keys of hosts in it
(`grpc.NewServer` in its cmd/controller/main.go has no credentials): nobody else comes to that port.  Goes when it takes
a certificate; Envoy Gateway has the setting, `extensionManager.service.tls`.

Pods are of the strictest level of Kubernetes' pod security: none of the software's runs as root or asks for more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from corral.config.cluster import Prometheus
from corral.gateway.manifests.resource import Manifest
from corral.gateway.names import (
    AI_NAMESPACE,
    CERT_NAMESPACE,
    ENVOY_NAMESPACE,
    KEDA_NAMESPACE,
    MONITORING_NAMESPACE,
    SECRETS_NAMESPACE,
)
from corral.hosts.naming import pod_security

RESTRICTED = pod_security("restricted")

RATE_LIMITERS = {"app.kubernetes.io/name": "envoy-ratelimit", "app.kubernetes.io/component": "ratelimit"}
"""The labels of the pods that count (Envoy Gateway's internal/infrastructure/kubernetes/ratelimit/resource.go)."""

_ENVOYS = {"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/component": "proxy"}
_ENVOY_GATEWAY = {"control-plane": "envoy-gateway"}

_METRICS = {
    ENVOY_NAMESPACE: (19001, 1064),
    AI_NAMESPACE: (8080,),
    CERT_NAMESPACE: (9402,),
    KEDA_NAMESPACE: (8080,),
    MONITORING_NAMESPACE: (8080, 9090),
    SECRETS_NAMESPACE: (8080,),
}
"""The ports that Prometheus reads, by namespace: 1064 is the processor's beside an Envoy."""


def _in(namespace: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def _labelled(pods: Mapping[str, str]) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": dict(pods)}}


def _from(source: dict[str, Any] | None, *ports: int) -> dict[str, Any]:
    """A rule; no source: anybody."""
    return {**({"from": [source]} if source else {}), "ports": [{"protocol": "TCP", "port": port} for port in ports]}


_WAYS: Mapping[str, list[tuple[str, dict[str, str], list[dict[str, Any]]]]] = {
    ENVOY_NAMESPACE: [
        ("envoys", _ENVOYS, [_from(None, 10443, 10080)]),  # listeners 443 and 80: Envoy Gateway adds 10,000
        (
            "envoy-gateway",
            _ENVOY_GATEWAY,
            [_from(_labelled(_ENVOYS), 18000), _from(_labelled(RATE_LIMITERS), 18001)],  # their configuration
        ),
        ("rate-limiters", RATE_LIMITERS, [_from(_labelled(_ENVOYS), 8081)]),
    ],
    AI_NAMESPACE: [
        (
            "envoy-ai-gateway",
            {},
            [_from({**_in(ENVOY_NAMESPACE), **_labelled(_ENVOY_GATEWAY)}, 1063), _from(None, 9443)],  # its webhook
        )
    ],
    CERT_NAMESPACE: [("cert-manager", {}, [_from(None, 10250)])],  # its webhook
    KEDA_NAMESPACE: [  # the metrics' API and the webhook; the one asks the operator
        ("keda", {}, [_from(None, 6443, 9443), _from(_in(KEDA_NAMESPACE), 9666)])
    ],
    MONITORING_NAMESPACE: [("prometheus", {}, [_from(_in(KEDA_NAMESPACE), 9090)])],
    SECRETS_NAMESPACE: [("external-secrets", {}, [])],  # it calls, and nobody calls it
}
"""By namespace the names of policies, the pods that each is for, and who comes to which of their ports."""


def policies(namespace: str, prometheus: Prometheus | None, labels: Mapping[str, str]) -> Iterator[Manifest]:
    """The namespace's, of which the one that lets nobody in is last."""
    for name, pods, ways in _WAYS[namespace]:
        scraped = [_from(_in(prometheus.namespace), *_METRICS[namespace])] if prometheus else []
        yield _policy(namespace, name, labels, {**_labelled(pods), "ingress": [*ways, *scraped]})
    yield _policy(namespace, "nobody-else", labels, {"podSelector": {}})


def _policy(namespace: str, name: str, labels: Mapping[str, str], spec: dict[str, Any]) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    spec = {**spec, "policyTypes": ["Ingress"]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
