"""The objects of one model at one host: where it is, how it proves its name, what it speaks, which credential it wants.

    Backend ◄─ BackendTLSPolicy
       ▲
    AIServiceBackend ◄─ BackendSecurityPolicy ─► the host's secret

They are made per model and host, not per host: a vLLM has an address for each of its models, an address may be known
only once the host is there, and what a model has to itself no other model's edit can touch.
"""

from __future__ import annotations

from typing import Any

from corral.gateway.manifests.resource import Inputs, Resource, reference
from corral.gateway.names import HOST_HEADER, TENANT_HEADER, object_name
from corral.hosts.endpoint import AmbientCredential, Credential, Endpoint, EntraCredential, KeyCredential
from corral.hosts.store import stored_spec
from corral.plan.failover import ADDED_BY_ENVOY, TOKEN_HEADER


class UntranslatedProtocolError(Exception):
    """A host speaks what the gateway does not translate."""


def host_secret(host: str) -> str:
    """The key of the host's secret; in it stands the credential, as `Endpoint.secret`."""
    return f"secret/{host}"


def secret_name(endpoint: Endpoint) -> str:
    """What that secret is called.  One that comes from a store has a name of its own: where it takes the place of one
    that the stack has made, that goes only after the gateway has let go of it."""
    return object_name(endpoint.host, *(["stored"] if endpoint.stored_secret else []))


def host_authority(host: str) -> str:
    """The key of the host's ConfigMap, called `object_name(host)`; in it `ca.crt` has the certificates to trust."""
    return f"authority/{host}"


def route_needs(endpoint: Endpoint) -> tuple[str, ...]:
    """The keys of the host's last objects: what a route names, and what the gateway must know when it does."""
    of_model = f"{endpoint.host}/{endpoint.model}"
    return (f"service/{of_model}", *((f"credential/{of_model}",) if endpoint.credential else ()))


def host_resources(inputs: Inputs, endpoint: Endpoint) -> dict[str, Resource]:
    """The resources by key, in the order in which they are made.  Raises `UntranslatedProtocolError`."""
    host, name = endpoint.host, object_name(endpoint.host, endpoint.model)
    of_model = f"{host}/{endpoint.model}"
    backend, tls, service = f"backend/{of_model}", f"tls/{of_model}", f"service/{of_model}"
    annotations = {"corral/host": host, "corral/model": endpoint.model}

    def resource(kind: str, spec: dict[str, Any], *needs: str) -> Resource:
        return inputs.resource(kind, name, spec, needs=needs, annotations=annotations)

    address = {"fqdn": {"hostname": endpoint.hostname, "port": endpoint.port}}
    resources = {backend: resource("Backend", {"endpoints": [address]})}
    if endpoint.tls:
        authority = (host_authority(host),) if endpoint.ca is not None else ()
        resources[tls] = resource("BackendTLSPolicy", _verification(endpoint, name), backend, *authority)
    resources[service] = resource("AIServiceBackend", _service(inputs, endpoint, name), *resources)
    if endpoint.credential:
        secret = (host_secret(host),) if endpoint.secret else ()
        resources |= _from_store(inputs, endpoint)
        policy = {"targetRefs": [reference("AIServiceBackend", name)], **_credential(endpoint)}
        resources[f"credential/{of_model}"] = resource("BackendSecurityPolicy", policy, service, *secret)
    return resources


def _verification(endpoint: Endpoint, name: str) -> dict[str, Any]:
    trusted: dict[str, Any] = (
        {"wellKnownCACertificates": "System"}
        if endpoint.ca is None
        else {"caCertificateRefs": [reference("ConfigMap", object_name(endpoint.host))]}
    )
    return {
        "targetRefs": [reference("Backend", name)],
        "validation": {"hostname": endpoint.hostname, **trusted},
    }


def _service(inputs: Inputs, endpoint: Endpoint, name: str) -> dict[str, Any]:
    """A caller's token is taken out of the request, and so is the tenant's name.  Limits of tokens are counted when an
    answer ends, by the request as it is then: with them the name must stay in it and goes on to the host."""
    fields = [{"path": field, "value": value} for field, value in sorted(endpoint.body.items())]
    removed = [
        *(() if inputs.counts_tokens else (TENANT_HEADER,)),
        *ADDED_BY_ENVOY,
        *((TOKEN_HEADER,) if inputs.plan.issuers and not _replaces_token(endpoint.credential) else ()),
    ]
    return {
        "schema": _schema(endpoint),
        "backendRef": reference("Backend", name),
        "headerMutation": {"set": [{"name": HOST_HEADER, "value": endpoint.host}], "remove": removed},
        **({"bodyMutation": {"set": fields}} if fields else {}),
    }


def _from_store(inputs: Inputs, endpoint: Endpoint) -> dict[str, Resource]:
    """What has the External Secrets Operator make the host's secret, and keep it as it is in the store."""
    resources: dict[str, Resource] = {}
    for entry, key in endpoint.stored_secret.items():
        resources[host_secret(endpoint.host)] = inputs.resource(
            "ExternalSecret",
            secret_name(endpoint),
            stored_spec(entry, key),
            annotations={"corral/host": endpoint.host},
        )
    return resources


def _replaces_token(credential: Credential) -> bool:
    """Whether the gateway's own credential takes the place of a caller's token."""
    header = credential.header if isinstance(credential, KeyCredential) else TOKEN_HEADER
    return credential is not None and header == TOKEN_HEADER


def _schema(endpoint: Endpoint) -> dict[str, str]:
    match endpoint.protocol:
        case "openai":
            return {"name": "OpenAI", "prefix": endpoint.path or "/"}
        case "bedrock-converse":
            return {"name": "AWSBedrock"}
        case _:
            raise UntranslatedProtocolError(
                f"host {endpoint.host} speaks {endpoint.protocol}, which the gateway does not translate: put something "
                "that speaks OpenAI in front of it and declare that under corral:hosts, with `kind: openai` and its url"
            )


def _credential(endpoint: Endpoint) -> dict[str, Any]:
    secret = {"secretRef": reference("Secret", secret_name(endpoint))}
    match endpoint.credential:
        case None:
            return {}
        case AmbientCredential(region=region, file=file):
            of_file = {} if file is None else {"credentialsFile": {**secret, "profile": "default"}}
            return {"type": "AWSCredentials", "awsCredentials": {"region": region, **of_file}}
        case EntraCredential(tenant=tenant, client=client):
            principal = {"tenantID": tenant, "clientID": client, "clientSecretRef": secret["secretRef"]}
            return {"type": "AzureCredentials", "azureCredentials": principal}
        case KeyCredential(header="api-key"):
            return {"type": "AzureAPIKey", "azureAPIKey": secret}
        case KeyCredential():
            return {"type": "APIKey", "apiKey": secret}
