"""How one host is reached."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, urlsplit


@dataclass(frozen=True)
class Upstream:
    """One host's address, and in which header it takes its key.  The key itself is in a file."""

    host: str
    url: str
    """The base URL: what stands in front of `/chat/completions`."""
    header: Literal["authorization", "api-key"] | None
    ca: str | None
    """The PEM file to verify the host's certificate with; None for plain HTTP."""
    ca_digest: str = ""
    """Of what is in it, where it is the stack's: Envoy reads it once."""

    @cached_property
    def name(self) -> str:
        """The cluster of this upstream: a host that is reached in another way gets a new one.

        The former one serves on until the requests that are on their way are finished.
        """
        how = "\n".join((self.url, self.header or "", (self.ca or "") + self.ca_digest))
        return f"host/{self.host}@{sha256(how.encode()).hexdigest()[:8]}"

    @cached_property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def tls(self) -> bool:
        return self._parts.scheme == "https"

    @property
    def hostname(self) -> str:
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        return self._parts.port or (443 if self.tls else 80)

    @property
    def path(self) -> str:
        """The path prefix, without a slash at its end."""
        return self._parts.path.rstrip("/")

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        return self._parts.netloc

    @cached_property
    def is_address(self) -> bool:
        """Whether the host is named by an IP address, which needs no DNS."""
        try:
            ip_address(self.hostname)
        except ValueError:
            return False
        return True
