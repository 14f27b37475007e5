"""The store from which the External Secrets Operator gets the keys of hosts, so that Pulumi has none of them.

A key is kept in one place: here or in `corral:keys`.  What runs on this machine (`corral serve`, `corral verify`) reads
neither, but the environment.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from corral.catalog.patterns import HostName, KubernetesName
from corral.catalog.units import Milliseconds, Strict, Text


class StoreEntry(Strict):
    """A key in the store."""

    key: Text
    """The name of the secret in the store."""
    property: Text | None = None
    """The field of the secret, where it is JSON; by default its whole text is the key."""


StoreEntryOrKey = Annotated[
    Annotated[Text, Tag("<key>")] | Annotated[StoreEntry, Tag("<entry>")],
    Discriminator(lambda value: "<entry>" if isinstance(value, (dict, StoreEntry)) else "<key>"),
]


class SecretStore(Strict):
    """A store of secrets, as the External Secrets Operator knows it."""

    name: Annotated[KubernetesName, Field(examples=["aws-secrets-manager"])]
    """The `ClusterSecretStore` on the cluster, which the stack makes where it installs the operator
    (`corral:cluster.addons.externalSecrets: install`)."""
    refresh: Milliseconds = 3_600_000
    """The time after which the operator looks whether a key has changed, like `1h`, which is the default."""
    keys: Annotated[
        dict[HostName, StoreEntryOrKey],
        Field(
            min_length=1,
            examples=[{"deepinfra": "corral/deepinfra", "lab": {"key": "corral/hosts", "property": "lab"}}],
        ),
    ]
    """The secret in the store that is a host's key: its name there, or `{key: …, property: …}` for one field of it.
    `huggingface` is the token with which vLLM loads gated weights."""

    def entry(self, host: str) -> StoreEntry | None:
        """Where the host's key is in the store; None: it is not there."""
        entry = self.keys.get(host)
        return StoreEntry(key=entry) if isinstance(entry, str) else entry
