"""The objects of one model at one host: where it is, how it proves its name, what it speaks, which credential it wants.

    Backend ◄─ BackendTLSPolicy
       ▲
    AIServiceBackend ◄─ BackendSecurityPolicy ─► the host's secret

They are made per model and host, not per host: a vLLM has an address for each of its models, an address may be known
only once the host is there, and what a model has to itself no other model's edit can touch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corral.gateway.manifests.resource import AI_GATEWAY, ENVOY_GATEWAY, GATEWAY_API, Link, Resource, manifest, target
from corral.gateway.names import HOST_HEADER, TENANT_HEADER, object_name

_NOT_THE_HOSTS_BUSINESS = ("x-forwarded-for", "x-forwarded-host")
"""Request headers that tell of the caller, beside the tenant's."""

_TOKEN = "authorization"  # noqa: S105
"""The header that may have a caller's token, where the host's own key does not take its place."""


class UntranslatedProtocolError(Exception):
    """A host speaks what the gateway does not translate."""


def host_secret(host: str) -> str:
    """The key of the host's secret, called `object_name(host)`; in it `apiKey` is the credential."""
    return f"secret/{host}"


def host_authority(host: str) -> str:
    """The key of the host's ConfigMap, called `object_name(host)`; in it `ca.crt` has the certificates to trust."""
    return f"authority/{host}"


def wanted_by_a_route(host: str, model: str, link: Link) -> tuple[str, ...]:
    """The keys of the host's last objects: what a route names, and what the gateway must know when it does."""
    return (f"service/{host}/{model}", *((f"credential/{host}/{model}",) if link.has_credential else ()))


def host_resources(
    host: str, model: str, link: Link, labels: Mapping[str, str], *, tokens: bool, counted: bool
) -> dict[str, Resource]:
    """By key, in the order in which they are made.  `tokens`: whether callers have tokens of issuers, which the gateway
    leaves in the request; `counted`: whether tenants have limits of tokens.  These are counted when an answer ends, by
    the request as it is then, so that the tenant's name must stay in it and goes on to the host.

    Raises `UntranslatedProtocolError`.
    """
    name, of_model = object_name(host, model), f"{host}/{model}"
    backend, tls, service = f"backend/{of_model}", f"tls/{of_model}", f"service/{of_model}"

    def made(api: str, kind: str, spec: dict[str, Any], *needs: str) -> Resource:
        return Resource(manifest(api, kind, name, spec, labels, {"corral/host": host, "corral/model": model}), needs)

    endpoint = {"fqdn": {"hostname": link.hostname, "port": link.port}}
    resources = {backend: made(f"{ENVOY_GATEWAY}/v1alpha1", "Backend", {"endpoints": [endpoint]})}
    if link.tls:
        authority = (host_authority(host),) if link.own_authority else ()
        verification = _verification(host, name, link)
        resources[tls] = made(f"{GATEWAY_API}/v1", "BackendTLSPolicy", verification, backend, *authority)
    resources[service] = made(
        f"{AI_GATEWAY}/v1beta1",
        "AIServiceBackend",
        _service(host, name, link, tokens=tokens, counted=counted),
        *(backend, *((tls,) if link.tls else ())),
    )
    if link.has_credential:
        secret = (host_secret(host),) if link.header else ()
        resources[f"credential/{of_model}"] = made(
            f"{AI_GATEWAY}/v1beta1", "BackendSecurityPolicy", _credential(host, name, link), service, *secret
        )
    return resources


def _verification(host: str, name: str, link: Link) -> dict[str, Any]:
    trusted: dict[str, Any] = (
        {"caCertificateRefs": [target("", "ConfigMap", object_name(host))]}
        if link.own_authority
        else {"wellKnownCACertificates": "System"}
    )
    return {
        "targetRefs": [target(ENVOY_GATEWAY, "Backend", name)],
        "validation": {"hostname": link.hostname, **trusted},
    }


def _service(host: str, name: str, link: Link, *, tokens: bool, counted: bool) -> dict[str, Any]:
    replaced = link.header == _TOKEN or link.signing_region is not None
    removed = [
        *(() if counted else (TENANT_HEADER,)),
        *_NOT_THE_HOSTS_BUSINESS,
        *((_TOKEN,) if tokens and not replaced else ()),
    ]
    fields = [{"path": field, "value": value} for field, value in sorted(link.body.items())]
    return {
        "schema": _schema(host, link),
        "backendRef": target(ENVOY_GATEWAY, "Backend", name),
        "headerMutation": {"set": [{"name": HOST_HEADER, "value": host}], "remove": removed},
        **({"bodyMutation": {"set": fields}} if fields else {}),
    }


def _schema(host: str, link: Link) -> dict[str, str]:
    match link.protocol:
        case "openai":
            return {"name": "OpenAI", "prefix": link.path or "/"}
        case "bedrock-converse":
            return {"name": "AWSBedrock"}
        case _:
            raise UntranslatedProtocolError(
                f"host {host} speaks {link.protocol}, which the gateway does not translate: put something that speaks "
                "OpenAI in front of it and declare that under corral:hosts, with `kind: openai` and its url"
            )


def _credential(host: str, name: str, link: Link) -> dict[str, Any]:
    secret = {"secretRef": target("", "Secret", object_name(host))}
    if link.signing_region:
        kind, said = "AWSCredentials", {"awsCredentials": {"region": link.signing_region}}
    elif link.header == "api-key":
        kind, said = "AzureAPIKey", {"azureAPIKey": secret}
    else:
        kind, said = "APIKey", {"apiKey": secret}
    return {"targetRefs": [target(AI_GATEWAY, "AIServiceBackend", name)], "type": kind, **said}
