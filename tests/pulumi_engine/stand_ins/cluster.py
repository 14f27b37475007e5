"""What a Kubernetes cluster answers, as strict as an API server is about what is there, and keeps.

A namespaced object needs its namespace, and two resources are never one object.  An object that others name is not
taken away under them: a cluster would let that happen, and requests would fail.  An object gets what a server adds to
it, and loses what it does not keep; the provider remembers beside it what it was given (`__inputs`).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from corral.testing.recording import revealed
from tests.pulumi_engine.history import kind_of
from tests.pulumi_engine.stand_ins.cloud import merged
from tests.pulumi_engine.stand_ins.comparison import (
    RELEASE,
    Path,
    differences,
    forced,
    forcing,
    normalised,
    pruned,
    secret_data,
    without_empty,
)
from tests.pulumi_engine.stand_ins.store import Store, Thing

PACKAGE = "kubernetes"
_NAMESPACE = "kubernetes:core/v1:Namespace"
_SECRET = "kubernetes:core/v1:Secret"
_SERVICE = "kubernetes:core/v1:Service"
_DEPLOYMENT = "kubernetes:apps/v1:Deployment"
_ROUTE = "kubernetes:aigateway.envoyproxy.io/v1beta1:AIGatewayRoute"
_HTTP_ROUTE = "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute"
_REFUSAL = "it was told to be refused"
_IN_USE = "cannot re-use a name that is still in use"
"""As Helm says it."""
_ALWAYS = ("default", "kube-system")

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "kubernetes:apps/v1:Deployment": {"spec": {"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10}},
    "kubernetes:core/v1:Namespace": {"spec": {"finalizers": ["kubernetes"]}},
    "kubernetes:core/v1:Secret": {"type": "Opaque"},
    "kubernetes:core/v1:Service": {"spec": {"clusterIP": "10.0.0.1", "sessionAffinity": "None", "type": "ClusterIP"}},
}
"""Some of what an API server adds to an object that leaves it out."""

_AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBdTCCARqgAwIBAgIULFFYaxCh81/jIH6asiPGZcdAhqYwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAxMNQ29ycmFsIGNvcnJhbDAeFw0yNjExMzAwMTAzNTdaFw0zNjEx
MjcwMTAzNTdaMBgxFjAUBgNVBAMTDUNvcnJhbCBjb3JyYWwwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAR4xvsFMW23Re/CtXSljwJTmcSYGrBVDWaQmXk4G5M4zfmS
SrCA3F1rXIIU2fC0WL0XsKk10AVqXYJLXDC7GcOmo0IwQDAOBgNVHQ8BAf8EBAMC
AqQwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQU1PgL4gKjYGURXarV7LSwwRel
JWIwCgYIKoZIzj0EAwIDSQAwRgIhANYm0+Zvbx4ppfxt5TUMXSqjri8huColcWqY
YNegmNwqAiEA4wKAxQDKeROqsRieuWdPVTWAicPG2uEl4MJPODg8vCM=
-----END CERTIFICATE-----
"""
"""Of an authority whose key nobody has."""

ISSUED = {"ca.crt": _AUTHORITY, "tls.crt": "a certificate\n", "tls.key": "NEVER a private key\n"}
"""What cert-manager puts into a secret."""

_OWN = ("__inputs", "__initialApiVersion", "__fieldManager")
"""What the provider keeps beside an object in Pulumi's state."""

_NAMED: Mapping[str, str] = {"backendRefs": "AIServiceBackend"}
"""Per property that names objects without their kind the kind that is meant."""


class Cluster:
    """A cluster that keeps what is applied to it."""

    package = PACKAGE

    def __init__(self, _package: str, store: Store) -> None:
        self._store = store
        self._options: dict[str, bool] = {}

    def configure(self, options: Mapping[str, Any]) -> None:
        """Takes the provider's own options, those that are on or off: as JSON, or as they are."""
        self._options = {name: str(value).lower() == "true" for name, value in options.items()}

    def refusal(self, verb: str, type_: str, inputs: Mapping[str, Any]) -> str | None:
        """Why it is not done; None: it is."""
        match verb:
            case "create":
                return self._refusal(type_, inputs)
            case "delete":
                return self._not_deleted(type_, inputs)
            case _:
                return None

    def id(self, type_: str, _name: str, inputs: Mapping[str, Any]) -> str:
        """`namespace/name`, or the name alone."""
        namespace, name = _place(type_, inputs)
        return f"{namespace}/{name}" if namespace else name

    def outputs(
        self, type_: str, name: str, inputs: Mapping[str, Any], id_: str | None, before: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The object as it lives and what it was made of, or as it was planned.

        A Secret lives in base64, whatever it was made of.
        """
        if id_ is None or type_ == RELEASE:
            return dict(inputs)
        own = {
            "__inputs": dict(inputs),
            "__initialApiVersion": inputs["apiVersion"],
            "__fieldManager": f"pulumi-{name}",
        }
        return {**self._live(type_, inputs, before), **self.status(type_), **own}

    def diff(
        self, type_: str, old: Mapping[str, Any], outputs: Mapping[str, Any], new: Mapping[str, Any]
    ) -> tuple[set[Path], set[Path], bool]:
        """What differs, what of it cannot be changed in place, and whether the old one has to go first: one name."""
        if type_ == RELEASE:
            changed, same = differences(revealed(old), old, new), False
        else:
            live = {key: value for key, value in revealed(outputs).items() if key not in _OWN}
            changed, same = differences(live, outputs["__inputs"], new), _place(type_, live) == _place(type_, new)
        replaced = forced(changed, forcing(type_, new, self._options))
        return set(changed), replaced, bool(replaced) and same

    def refreshed(self, type_: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What a program would have to say of the object to get it as it lives."""
        return dict(inputs) if type_ == RELEASE else secret_data(type_, pruned(revealed(outputs), normalised(inputs)))

    def _live(self, type_: str, inputs: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
        """What an API server makes of an object, new or changed."""
        sent = merged(_DEFAULTS.get(type_, {}), normalised(inputs))
        earlier = (before or {}).get("metadata", {"uid": uuid4().hex, "creationTimestamp": "2026-01-01T00:00:00Z"})
        changed = before is None or before.get("spec") != sent.get("spec")
        metadata = {
            **without_empty(sent["metadata"]),
            "uid": earlier["uid"],
            "creationTimestamp": earlier["creationTimestamp"],
            "generation": earlier.get("generation", 0) + changed,
            "resourceVersion": uuid4().hex,
            "managedFields": [{"manager": "pulumi", "operation": "Apply", "apiVersion": sent["apiVersion"]}],
        }
        if type_ == _NAMESPACE:
            metadata["labels"] = {**metadata.get("labels", {}), "kubernetes.io/metadata.name": metadata["name"]}
        return {**sent, "metadata": metadata}

    def status(self, type_: str) -> dict[str, Any]:
        """What the controllers say now of an object of this type, as far as somebody looks at it."""
        kind = type_.rpartition(":")[2]
        refused = self._store.is_faulty("accept", kind, "")
        if type_ == _ROUTE:
            condition = {"type": "NotAccepted" if refused else "Accepted", "status": "False" if refused else "True"}
            return {"status": {"conditions": [{**condition, "message": _REFUSAL if refused else "reconciled"}]}}
        if type_ == _HTTP_ROUTE:
            condition = {"observedGeneration": 1, "status": "True", "message": ""}
            resolved = {"status": "False", "reason": "BackendNotFound", "message": _REFUSAL} if refused else {}
            conditions = [{**condition, "type": "Accepted"}, {**condition, "type": "ResolvedRefs", **resolved}]
            return {"status": {"parents": [{"conditions": conditions}]}}
        return {}

    def lookup(self, type_: str, id_: str) -> dict[str, Any] | None:
        """What the controllers make: the gateway's Service with its load balancer, Envoys, HTTPRoutes, secrets."""
        namespace, _, name = id_.rpartition("/")
        if type_ == _HTTP_ROUTE:
            metadata = {"name": name, "namespace": namespace, "generation": 1}
            return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata}
        if type_ == _DEPLOYMENT:
            return _envoys(namespace, name)
        if type_ == _SECRET and name in self._issued(namespace):
            metadata = {"name": name, "namespace": namespace}
            data = {entry: b64encode(text.encode()).decode() for entry, text in ISSUED.items()}
            return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        if type_ != _SERVICE:
            return None
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {"ingress": [{"hostname": "gateway.elb.example.com"}]}},
        }

    def answer(self, token: str, _args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of a function: none is called."""
        raise KeyError(token)

    def _things(self) -> Iterator[Thing]:
        return (thing for thing in self._store.things() if thing.package == PACKAGE)

    def _refusal(self, type_: str, inputs: Mapping[str, Any]) -> str | None:
        namespace, name = _place(type_, inputs)
        adopted = self._options.get("upsertExistingObjects") and type_ != RELEASE
        if not adopted and self._store.get(PACKAGE, type_, self.id(type_, name, inputs)):
            return _IN_USE if type_ == RELEASE else f'{kind_of(type_, inputs)} "{name}" already exists'
        there = {thing.id for thing in self._things() if thing.type == _NAMESPACE} | {*_ALWAYS}
        if namespace and namespace not in there:
            return f'namespaces "{namespace}" not found'
        for kind, named in references(inputs) - {("Secret", name) for name in self._issued(namespace)}:
            if not any(_is(thing, kind, named, namespace) for thing in self._things()):
                return f"it names the {kind} {named}, which is not there"
        return None

    def _issued(self, namespace: str) -> set[str]:
        """The secrets in a namespace that cert-manager makes."""
        return {
            thing.inputs["spec"]["secretName"]
            for thing in self._things()
            if thing.kind == "Certificate" and _place(thing.type, thing.inputs)[0] == namespace
        }

    def _not_deleted(self, type_: str, inputs: Mapping[str, Any]) -> str | None:
        namespace, name = _place(type_, inputs)
        kind = kind_of(type_, inputs)
        for thing in self._things():
            where, other = _place(thing.type, thing.inputs)
            if kind == "Namespace" and where == name:
                return f"the {thing.kind} {other} is still in it"
            if where == namespace and (kind, name) in references(thing.inputs):
                return f"the {thing.kind} {other} still names it"
        return None


def _envoys(namespace: str, name: str) -> dict[str, Any]:
    """Two, each with its processor beside it."""
    processor = {"annotations": {"aigateway.envoyproxy.io/extproc-config-hash": "0"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "generation": 2},
        "spec": {"template": {"metadata": processor}},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
    }


def references(inputs: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Kind and name of the Backends and AIServiceBackends, ConfigMaps and Secrets that an object names."""
    return set(_references("", inputs.get("spec", {})))


def _references(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        kind = value.get("kind", _NAMED.get(key))
        if kind in ("AIServiceBackend", "Backend", "ConfigMap", "Secret") and isinstance(value.get("name"), str):
            yield kind, value["name"]
        for below, part in value.items():
            yield from _references(below, part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(key, part)


def _is(thing: Thing, kind: str, name: str, namespace: str) -> bool:
    return thing.kind == kind and _place(thing.type, thing.inputs) == (namespace, name)


def _place(type_: str, inputs: Mapping[str, Any]) -> tuple[str, str]:
    """Namespace (none: empty) and name."""
    metadata = inputs if type_ == RELEASE else inputs["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
