"""The description of a stand-in: pure, computed from a plan, and sent to the child process as JSON.

Policy.  A simulated host serves exactly the ids that the plan's targets name for it, drained ones included.  It
keeps the path of the real base URL, so that a wrong path prefix shows.  A host that the cloud's own credentials open
(Bedrock) takes a key of its own here, as a bearer's or as the secret that requests are signed with.  What the plan does
not know of a model (None) is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from corral.catalog.catalog import Protocol, Takes
from corral.catalog.patterns import HostName
from corral.catalog.units import Exact
from corral.plan.plan import Plan, Target

CONTROL = "/_control"
"""The path of the control endpoints; no host can have such a name."""

TOKEN_VARIABLE = "CORRAL_SIMULATED_TOKEN"  # noqa: S105 (its name, not its value)
"""The environment variable that gives the process the token of its control endpoints."""


def one_line(error: ValidationError) -> str:
    """The places that are wrong, and why, without a value of the input: it may be a key."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in errors)


_PATHS_BEFORE_PROVISIONING = {"azure": "/openai/v1"}
"""Per kind the path of a base URL that is not known yet: learn.microsoft.com, Azure AI Foundry's v1 API."""
_OTHER_PATH = "/v1"
"""That of vLLM."""


class Speed(Exact):
    """How fast a simulated host answers.  The default is as fast as it can."""

    latency: Annotated[int, Field(ge=0)] = 0
    """Milliseconds until the first byte."""
    tokens_per_second: Annotated[int, Field(gt=0)] | None = None
    """The rate of one answer; None: all tokens at once."""


class SimulatedHost(Exact):
    """One simulated host."""

    name: HostName
    path: Annotated[str, Field(pattern=r"^(/[^\s?#]*[^\s?#/])?$")]
    """The path of the real base URL: `/openai/v1`."""
    header: Literal["authorization", "api-key"] | None
    """Where the key is expected: `Authorization: Bearer`, or `api-key:` (a bearer is taken there as well)."""
    key: Annotated[str, Field(min_length=1)] | None = Field(repr=False)
    models: dict[str, Takes]
    """By the host's own model id; false is refused with 400, None is unknown and allowed."""
    protocol: Protocol = "openai"
    speed: Speed = Speed()

    @model_validator(mode="after")
    def _a_key_has_its_header(self) -> Self:
        if (self.header is None) != (self.key is None):
            raise ValueError("header and key go together: give both, or neither")
        return self

    @property
    def prefix(self) -> str:
        """The path under which it answers: `/groq/openai/v1`."""
        return f"/{self.name}{self.path}"

    def base_url(self, port: int) -> str:
        """The URL in front of `/chat/completions`: `http://127.0.0.1:PORT/groq/openai/v1`."""
        return f"http://127.0.0.1:{port}{self.prefix}"


class HostsError(ValueError):
    """A description of simulated hosts that cannot be used; the message holds no key."""


def simulated_hosts(plan: Plan, names: Iterable[str], keys: Mapping[str, str]) -> tuple[SimulatedHost, ...]:
    """The simulated hosts that stand in for the hosts `names` of a plan, in order of name.

    `keys` holds a key per host name; those of hosts that want none are left aside.  Raises HostsError for a name that
    is no target of the plan, and for a host that wants a key and has none.
    """
    return tuple(_simulated(plan, name, keys.get(name)) for name in sorted(set(names)))


def _simulated(plan: Plan, name: str, key: str | None) -> SimulatedHost:
    targets = [*plan.at(name).values()]
    if not targets:
        raise HostsError(
            f"{name} serves no model of stack {plan.stack}: simulate one of {', '.join(plan.hosts) or 'none'}"
        )
    credential = targets[0].credential
    header = credential.header or ("authorization" if credential.ambient else None)
    if header is not None and key is None:
        raise HostsError(f"simulated host {name} wants a key in the header {header}: generate one for it")
    return SimulatedHost(
        name=name,
        path=_path(targets[0]),
        header=header,
        key=key if header is not None else None,
        protocol=targets[0].protocol,
        models={target.model_id: target.takes for target in targets},
    )


def _path(target: Target) -> str:
    if target.url is None and target.protocol == "bedrock-converse":
        return ""
    if target.url is None:
        return _PATHS_BEFORE_PROVISIONING.get(target.kind, _OTHER_PATH)
    return urlsplit(target.url).path.rstrip("/")


_HOSTS = TypeAdapter(tuple[SimulatedHost, ...])


def to_json(hosts: Iterable[SimulatedHost]) -> bytes:
    """The JSON that `from_json` reads.  It holds the keys."""
    return _HOSTS.dump_json(tuple(hosts))


def from_json(text: bytes) -> tuple[SimulatedHost, ...]:
    """The hosts of a JSON list.  Raises HostsError."""
    try:
        hosts = _HOSTS.validate_json(text)
    except ValidationError as error:
        raise HostsError(one_line(error)) from None
    names = [host.name for host in hosts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise HostsError(f"{', '.join(twice)}: described twice, give each host a name of its own")
    return hosts
