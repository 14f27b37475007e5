"""One request, as a line of the log tells of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

Number = Annotated[int, Field(ge=0)]
"""A JSON number, or a string of digits."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is read of a line; it holds more."""

    time: AwareDatetime
    """When it began."""
    status: Number
    """0: the client left before the answer began."""
    tenant: str | None = None
    """None: nobody was asked, or the caller is unknown."""
    model: str | None = None
    """None: it asked for none that there is."""
    host: str | None = None
    """The one that answered; None: none did."""
    input_tokens: Number | None = None
    """Of the prompt; None: the host has not said."""
    output_tokens: Number | None = None
    """Of the answer; None: the host has not said, or there is no such thing (embeddings)."""
    estimated: bool | None = None
    """Whether the answer was cut off, so that its tokens are the pieces that came."""

    @property
    def failed(self) -> bool:
        """Whether the client got no good answer: it was refused, it failed, or the client left before it began."""
        return self.status == 0 or self.status >= 400

    @property
    def uncounted(self) -> bool:
        """Whether a host did something for it, and has not said how many tokens the prompt had."""
        return self.host is not None and self.input_tokens is None and (self.status == 0 or self.status < 300)


_REQUEST = TypeAdapter(Request)


def parse(line: bytes) -> Request | None:
    """A line of the log; None: it is none."""
    try:
        return _REQUEST.validate_json(line)
    except ValidationError:
        return None
