"""What the simulated hosts say of themselves (`GET /_control`).  It holds no key."""

from __future__ import annotations

from components.simulated.described import Described
from components.simulated.faults import FaultKind
from components.simulated.hosts import Speed


class ActiveFault(Described):
    """A fault that has not ended."""

    kind: FaultKind
    model: str | None
    """None: all of the host's models."""
    seconds_left: float | None
    """None: until it is cleared."""


class HostState(Described):
    """A host as it is now."""

    prefix: str
    """The path of its base URL."""
    models: tuple[str, ...]
    speed: Speed
    faults: tuple[ActiveFault, ...]


class Count(Described):
    """The finished requests of one host, model id and status."""

    host: str
    model: str | None
    """None: the request named no model that the host serves; `GET /models` among them."""
    status: int
    """0: no status line was sent (`hang`, `reset`, or the client left before).  A reset mid-stream has its 200."""
    requests: int
    prompt_tokens: int
    """Of answered requests."""
    answer_tokens: int
    """As far as they were sent."""


Answered = tuple[float, str, str | None, int]
"""A finished request: when it arrived (seconds of the monotonic clock, which all processes of a machine share), its
host, and its model id and status as in `Count`."""


class Latest(Described):
    """The latest finished requests, one by one."""

    finished: int
    """How many have finished since the start of the process: what to ask for next."""
    requests: tuple[Answered, ...]
    """In the order in which they finished."""


class State(Described):
    """All of it."""

    hosts: dict[str, HostState]
    open: dict[str, int]
    """Per host the requests that are not finished, of removed hosts too; hosts without any are left out."""
    counts: tuple[Count, ...]
    """In order of host, model id and status, from the start of the process; a removed host's counts stay."""
