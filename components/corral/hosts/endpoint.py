"""How one model at one host is reached: made by host components, written into manifests by the load balancer.

Values that only a provider gives are passed on and never looked at, so that nothing here needs Pulumi at run time and
the manifests stay pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from corral.catalog.catalog import Protocol

if TYPE_CHECKING:
    import pulumi


@dataclass(frozen=True)
class StoredKey:
    """A key that the External Secrets Operator gets from a store, and that nobody here has."""

    store: str
    """The ClusterSecretStore."""
    key: str
    property: str | None
    """The field of the secret; None: all of it is the key."""
    refresh_seconds: int


if TYPE_CHECKING:
    Key = pulumi.Output[str] | StoredKey
    """A secret, or where it is."""


@dataclass(frozen=True)
class KeyCredential:
    """A key that the gateway sends in a header."""

    header: Literal["authorization", "api-key"]
    """`authorization` (as a bearer token) or `api-key`."""
    value: Key = field(repr=False)


@dataclass(frozen=True)
class AmbientCredential:
    """AWS's credentials sign the request: the gateway's own cloud identity (Pod Identity), or those of a file."""

    region: str
    """The AWS region that is called."""
    file: Key | None = field(default=None, repr=False)
    """A credentials file of AWS, where the cluster gives its pods no identity."""


@dataclass(frozen=True)
class EntraCredential:
    """Tokens of Entra, which the gateway gets and renews with a service principal's secret."""

    tenant: str
    client: str
    secret: Key = field(repr=False)
    """That of the principal."""


Credential = KeyCredential | AmbientCredential | EntraCredential | None
"""None: the host wants no credential."""


@dataclass(frozen=True)
class Endpoint:
    """One model at one host, ready to be named by a route."""

    model: str
    """The name clients ask for."""
    host: str
    """The host's name in the stack."""
    hostname: pulumi.Input[str]
    """A DNS name, never an address."""
    port: int
    tls: bool
    protocol: Protocol
    path: str
    """The path prefix in front of `/chat/completions`: `/v1`; empty where the protocol has its own paths."""
    model_id: pulumi.Input[str]
    """The host's own id of the model: plain, unless the host makes it (an application inference profile)."""
    credential: Credential
    ca: str | None = None
    """PEM certificates to trust for this host instead of the system's."""
    ready: Sequence[pulumi.Resource] = ()
    """What must be there before a route names this endpoint."""
    refusal: pulumi.Output[str | None] | None = None
    """Why the host refuses this model, once all is there; None: it does not."""
    way_out: str = ""
    """What to do when the host cannot be had: a sentence."""
    body: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, "pulumi.Input[str]"])
    """Top-level fields that the gateway sets in every request to the host, each value as JSON text."""

    @property
    def secret(self) -> Mapping[str, Key]:
        """The entry of the host's secret that the gateway's policy reads; empty where it reads none."""
        match self.credential:
            case KeyCredential(value=key):
                return {"apiKey": key}
            case AmbientCredential(file=file) if file is not None:
                return {"credentials": file}
            case EntraCredential(secret=secret):
                return {"client-secret": secret}
            case _:
                return {}

    @property
    def stored_secret(self) -> Mapping[str, StoredKey]:
        """Of it what comes from a store."""
        return {entry: key for entry, key in self.secret.items() if type(key) is StoredKey}

    @property
    def own_secret(self) -> Mapping[str, pulumi.Output[str]]:
        """Of it what does not."""
        stored = self.stored_secret
        own = {entry: key for entry, key in self.secret.items() if entry not in stored}
        return cast("Mapping[str, pulumi.Output[str]]", own)
