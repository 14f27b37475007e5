"""The gateway's listeners, and its certificate: the one that the stack names, or one of an authority of its own.

Policy.  Clients call by TLS, unless the stack says that plain HTTP is answered as well.  Where it names no certificate,
cert-manager, which Envoy AI Gateway needs in any case, makes an authority for this gateway alone, and issues and renews
by it.  The authority keeps its key when its own certificate is renewed, so that who trusts the earlier one trusts the
gateway until that one ends.  A load balancer of AWS has its name only once it is there, and the certificate is there
before, so that it is for all of a region: nobody but the gateway has its key.

What clients are to trust comes from a certificate by which nobody is served (`TRUST`).  Pulumi reads a secret as a
whole, so that its state has a key then, and it is this one's.
"""

from __future__ import annotations

from typing import Any

from corral.config.cluster import (
    Gateway,
    GivenCertificate,
    HostedZoneCertificate,
    IssuedCertificate,
    LoadBalancerCertificate,
)
from corral.gateway import names
from corral.gateway.manifests.resource import GATEWAY_API, Inputs, Resource, reference

TRUST = "trust"
"""The key of the certificate that shows what clients are to trust, and the name of its secret."""

AUTHORITY_ENTRY = "ca.crt"
"""The entry of a certificate's secret with what to trust."""

_AUTHORITY = "authority"
"""The name of the authority, and of its secret."""

_AUTHORITY_HOURS = 10 * 365 * 24
"""How long its certificate is good; cert-manager renews it after two thirds."""

_PRIVATE_KEY = {"algorithm": "ECDSA", "size": 256}


def listener_names(gateway: Gateway) -> tuple[str, ...]:
    """The names of the Gateway's listeners, by which Envoy's lists of routes are called."""
    return ("https", "http") if gateway.plain_http else ("https",)


def listeners(inputs: Inputs) -> list[dict[str, Any]]:
    """The Gateway's, as `listener_names`."""
    match inputs.gateway.certificate:
        case LoadBalancerCertificate() | HostedZoneCertificate():
            tls: dict[str, Any] = {"protocol": "HTTP"}
        case GivenCertificate(secret=path):
            namespace, name = path.split("/")
            tls = _tls({**reference("Secret", name), "namespace": namespace})
        case _:
            tls = _tls(reference("Secret", names.CERTIFICATE_SECRET))
    each = {"https": {"port": 443, **tls}, "http": {"port": 80, "protocol": "HTTP"}}
    return [{"name": name, **each[name]} for name in listener_names(inputs.gateway)]


def _tls(certificate: dict[str, str]) -> dict[str, Any]:
    return {"protocol": "HTTPS", "tls": {"mode": "Terminate", "certificateRefs": [certificate]}}


def certificate_resources(inputs: Inputs) -> dict[str, Resource]:
    """By key what brings the gateway's certificate within its reach, in the order in which it is made."""
    match inputs.gateway.certificate:
        case None:
            return _own(inputs)
        case LoadBalancerCertificate() | HostedZoneCertificate():
            return {}
        case GivenCertificate(secret=path):
            namespace, name = path.split("/")
            grant = {
                "from": [{"group": GATEWAY_API, "kind": "Gateway", "namespace": inputs.names.namespace}],
                "to": [reference("Secret", name)],
            }
            title = names.object_name(inputs.names.namespace, name)
            return {"certificate": inputs.resource("ReferenceGrant", title, grant, namespace=namespace)}
        case IssuedCertificate(issuer=issuer):
            certificate = {
                "secretName": names.CERTIFICATE_SECRET,
                "dnsNames": [inputs.gateway.hostname],
                "issuerRef": reference("ClusterIssuer", issuer),
            }
            return {"certificate": inputs.resource("Certificate", inputs.names.gateway, certificate)}


def _own(inputs: Inputs) -> dict[str, Resource]:
    """An authority that signs itself, what issues by it, and two certificates of it."""
    by_authority = {
        "issuerRef": reference("Issuer", _AUTHORITY),
        "privateKey": {**_PRIVATE_KEY, "rotationPolicy": "Always"},
    }
    authority = {
        "secretName": _AUTHORITY,
        "isCA": True,
        "commonName": f"Corral {inputs.names.gateway}",
        "duration": f"{_AUTHORITY_HOURS}h",
        "issuerRef": reference("Issuer", "self-signed"),
        "privateKey": {**_PRIVATE_KEY, "rotationPolicy": "Never"},
    }
    certificate = {
        **by_authority,
        "secretName": names.CERTIFICATE_SECRET,
        "dnsNames": _dns_names(inputs),
        "ipAddresses": ["127.0.0.1"],
    }
    trust = {**by_authority, "secretName": TRUST, "dnsNames": [f"{TRUST}.invalid"], "usages": ["client auth"]}
    of_authority = {"ca": {"secretName": _AUTHORITY}}
    return {
        "self-signed": inputs.resource("Issuer", "self-signed", {"selfSigned": {}}),
        "authority": inputs.resource("Certificate", _AUTHORITY, authority, needs=["self-signed"]),
        "issuer": inputs.resource("Issuer", _AUTHORITY, of_authority, needs=["authority"]),
        "certificate": inputs.resource("Certificate", inputs.names.gateway, certificate, needs=["issuer"]),
        TRUST: inputs.resource("Certificate", TRUST, trust, needs=["issuer"]),
    }


def _dns_names(inputs: Inputs) -> list[str]:
    """Those by which a client may call: the stack's, the Service's, a forwarded port's and a load balancer's."""
    service = f"{inputs.names.service}.{names.ENVOY_NAMESPACE}"
    return [
        *([inputs.gateway.hostname] if inputs.gateway.hostname else []),
        *(f"{service}{domain}" for domain in (".svc.cluster.local", ".svc", "")),
        "localhost",
        *([f"*.elb.{inputs.region}.amazonaws.com"] if inputs.region else []),
    ]
