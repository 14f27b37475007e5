"""What the adapter wants of a host, whatever its protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from components.adapter.asked import Asked
from components.adapter.hosts import AdaptedHost


class Host(Protocol):
    """A host that can be asked.

    Whoever cancels a question, or closes a stream, ends it at the host too, as far as the host's protocol lets him.
    """

    @property
    def description(self) -> AdaptedHost:
        """Which host it is."""
        ...

    async def completion(self, asked: Asked) -> dict[str, Any]:
        """A chat completion.  Raises ChatError."""
        ...

    def chunks(self, asked: Asked) -> AsyncGenerator[dict[str, Any]]:
        """The chunks of a chat completion.  Raises ChatError, the first time before any chunk."""
        ...

    async def close(self) -> None:
        """Nobody asks it any more."""
        ...
