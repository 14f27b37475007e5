"""The routing plan: for each model its targets, in the order in which a request can reach them.

Policy.  The hosts with a share stand at priority 0, each with its share as its weight.  The fallbacks follow, one
priority each, in the order of the stack, and take all of the traffic that reaches their priority (weight 100).  A host
with share 0 keeps its place in the plan and gets no traffic, not even when others fail; named as a fallback as well, it
is a fallback.  Priorities are contiguous.  A host that does not serve the model is not a target; it is listed as
`unserved`, and the checks refuse the plan.  A host is a target once: a fallback that has a share is a sharing host,
listed as `repeated`, and the checks refuse that too.  Everything here is plain: integers for weights and money.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Literal

from corral.catalog.catalog import Protocol, SessionHint, Takes
from corral.config.cluster import Certificate, EksCluster, KubeconfigCluster, Replicas, Versions
from corral.plan.callers import Issuer, Rate, TenantPlan
from corral.plan.gpus import Fit, Misfit, Nodes
from corral.plan.ramps import Ramp

_PRIVATE = {"public": False}
"""Of a field that is no part of the plan for programs, nor of its hash: it serves checks and provisioning."""

OWN_GPUS = "GPUs of the stack"
"""The source of a price of nothing: these tokens cost no more than the nodes do."""


@dataclass(frozen=True)
class Price:
    """Micro-dollars per million tokens, and who says so: `stack`, `OWN_GPUS`, or the source in the price list."""

    input: int
    output: int
    source: str
    cached_input: int | None = None
    """Of the tokens of a prompt that the host has kept from one before; None: they cost what the others do."""
    review_by: date | None = field(default=None, compare=False, metadata=_PRIVATE)
    """When somebody is to look again; None: that is the stack's own affair."""


@dataclass(frozen=True)
class Credential:
    """Which credential a host wants; never the credential itself."""

    header: Literal["authorization", "api-key"] | None
    """The request header it goes into; None: no key is sent (`ambient` tells whether credentials of the cloud are)."""
    ambient: bool
    variable: str | None
    """The environment variable the local engine reads it from."""
    key_file: str | None = None
    """The file, relative to the stack file, that it reads it from instead."""
    file: bool = field(default=False, metadata=_PRIVATE)
    """Whether those of the cloud come from a file in `corral:keys`: the cluster gives its pods none."""
    entra: bool = field(default=False, metadata=_PRIVATE)
    """Whether the key is a token of Entra, which is renewed."""
    stored: bool = field(default=False, metadata=_PRIVATE)
    """Whether a cluster gets it from a store of secrets."""

    @property
    def source(self) -> str | None:
        """Where the local engine finds the key, for a person."""
        return f"the file {self.key_file}" if self.key_file else self.variable


@dataclass(frozen=True)
class Load:
    """Of the traffic that there is, or of that which a host takes; None: unknown."""

    concurrent: int | None = None
    """Requests under way at a time."""
    requests: int | None = None
    """A minute."""
    tokens: int | None = None
    """A minute, of prompts and answers together."""


@dataclass(frozen=True)
class Lifecycle:
    """`available`; `restricted` with why; `retired` with the day, which may lie in the future."""

    state: Literal["available", "restricted", "retired"]
    why: str | None = None
    on: date | None = None


@dataclass(frozen=True)
class Target:
    """One host as one model's clients reach it."""

    host: str
    kind: str
    """The host's catalog entry, or `openai`."""
    model_id: str
    """The host's own id of the model."""
    share: int
    """Percent; 0 for a fallback and for a drained host."""
    weight: int
    """Among the targets of the same priority; 0: no traffic."""
    priority: int
    protocol: Protocol
    url: str | None
    """None: known only once the host is provisioned."""
    ca: str | None
    """A PEM file to trust instead of the system's certificates."""
    credential: Credential
    reaches: tuple[str, ...] | None
    """Every region in which a request may be processed; None: unknown."""
    callable_from: tuple[str, ...] | None
    """The regions from which the host lets this model be called; None: any."""
    region: str | None
    """The region that is called, for a host that has one."""
    context: int | None
    output: int | None
    takes: Takes
    lifecycle: Lifecycle
    price: Price | None
    verified: bool
    as_of: date | None
    source: str
    """Who says all this: the catalog's source, or `stack`."""
    limit: Load
    """What the host takes of this model."""
    fit: Fit | Misfit | None = None
    """On GPUs that the stack provisions; None: no such host."""
    host_limit: Load = Load()
    """What the host takes of all its models together."""
    overflow_wait: int | None = None
    """Milliseconds for which a request waits there when it is full; None: it goes on at once."""
    mirrored: int = 0
    """Percent of the model's requests that are copied to it, whose answers nobody gets."""
    guarded: bool = False
    """Whether the stack gives the host a guardrail (Bedrock), which the kubernetes engine makes."""
    base_model: str | None = field(default=None, metadata=_PRIVATE)
    """The host's own name of the model behind an id that may name something else: Bedrock's foundation model behind a
    profile, Azure's model behind a deployment.  None: unknown, or no such host.  For provisioning, not for routing."""
    adapted: bool = field(default=False, metadata=_PRIVATE)
    """Whether a cluster calls it through the adapter, which sends on to another host what this one cannot take."""
    unplaced: tuple[str, ...] = field(default=(), metadata=_PRIVATE)
    """Those of `reaches` that `regions` of the host in the stack names and the catalog does not know."""
    session_hint: SessionHint | None = field(default=None, compare=False, metadata=_PRIVATE)

    @property
    def live(self) -> bool:
        """Whether any request can reach it."""
        return self.weight > 0

    @property
    def called(self) -> bool:
        """Whether any request can reach it, or a copy of one."""
        return self.live or self.mirrored > 0

    @property
    def provisioned(self) -> bool:
        """Whether the stack makes the host: its URL is known once it is provisioned, and it brings its key along."""
        return self.url is None and self.kind in ("azure", "vllm")

    @property
    def role(self) -> Literal["share", "fallback", "drained", "candidate"]:
        """What the host is to the model."""
        if not self.live:
            return "candidate" if self.mirrored else "drained"
        return "share" if self.priority == 0 else "fallback"


@dataclass(frozen=True)
class Unserved:
    """A host that the stack names for a model which the host does not serve."""

    host: str
    role: Literal["share", "fallback"]
    share: int
    """Percent; 0 for a fallback."""
    why: str
    """A clause: `the catalog has no such model there`, or the catalog's reason for a placeholder."""
    placeholder: bool
    """Whether the catalog keeps a place for it that the stack has not filled in."""
    keys: tuple[str, ...]
    """What the stack would have to say for the host to serve it, as keys: `corral:hosts.lab.models.llama-3.3-70b`."""
    kind: str = field(metadata=_PRIVATE)
    """The host's catalog entry, or `openai`."""


@dataclass(frozen=True)
class SessionHeader:
    """The header by which clients name their sessions."""

    header: str
    """In lower case."""


@dataclass(frozen=True)
class ModelPlan:
    """One model: its targets in order of priority, within a priority in order of name."""

    name: str
    targets: tuple[Target, ...]
    unserved: tuple[Unserved, ...]
    residency: tuple[str, ...] | None
    """Where requests may be processed, as places or regions; None: anywhere."""
    allowed_regions: frozenset[str] | None
    """`residency` spelled out: every known region it allows, places included."""
    volume: int | None
    """Tokens a month."""
    peak: Load | None = None
    """The busiest minute; None: the stack does not say."""
    repeated: tuple[str, ...] = ()
    """Fallbacks that have a share, in order of name."""
    served_by: tuple[str, ...] = ()
    """The catalog's hosts at which the model is available, in order of name: where to turn when a host is refused."""
    affinity: Literal["prompt"] | SessionHeader | None = None
    """What the requests of a session have in common, which keep their host; None: each goes to any host."""
    ramp: Ramp | None = field(default=None, compare=False, metadata=_PRIVATE)
    least_shares: Mapping[str, int] = field(default_factory=dict[str, int], compare=False, metadata=_PRIVATE)
    """By host the percentage that advice leaves it."""

    @cached_property
    def live(self) -> tuple[Target, ...]:
        """The targets that a request can reach: the sharing ones, then the fallbacks."""
        return tuple(target for target in self.targets if target.live)

    @cached_property
    def by_host(self) -> Mapping[str, Target]:
        """The targets by their hosts."""
        return {target.host: target for target in self.targets}

    @cached_property
    def called(self) -> Mapping[str, Target]:
        """Those that a request, or a copy of one, can reach."""
        return {target.host: target for target in self.targets if target.called}

    @property
    def candidate(self) -> Target | None:
        """The target that copies of requests go to."""
        return next((target for target in self.targets if target.mirrored), None)

    @cached_property
    def sharing(self) -> tuple[Target, ...]:
        """The live targets at priority 0."""
        return tuple(target for target in self.live if target.priority == 0)

    @property
    def fallbacks(self) -> tuple[Target, ...]:
        """The targets after the sharing ones, in order."""
        return tuple(target for target in self.targets if target.priority > 0)

    @property
    def shares(self) -> dict[str, int]:
        """The share of each host, drained ones at 0; fallbacks have none."""
        return {target.host: target.share for target in self.targets if target.priority == 0}

    def only(self, allowed: Callable[[Target], bool]) -> ModelPlan:
        """The model as requests meet it that may go to some of its targets alone.

        Shares and weights stay as they are; where no sharing host is left, the first fallback moves up to priority 0.
        """
        left = [target for target in self.targets if allowed(target)]
        order = {old: new for new, old in enumerate(sorted({target.priority for target in left if target.live}))}
        moved = (replace(target, priority=order.get(target.priority, 0)) for target in left)
        return replace(self, targets=tuple(sorted(moved, key=lambda target: (target.priority, target.host))))


@dataclass(frozen=True)
class RequestSettings:
    """Times in milliseconds, sizes in bytes: the engine settings a request meets."""

    connect_timeout: int
    idle_timeout: int
    drain_timeout: int
    ejection_time: int
    body_limit: int
    concurrent: int | None = None
    """Requests under way at once; None: as many as come."""
    origins: tuple[str, ...] = ()
    """The origins of web pages that may call the gateway; `*` is every page."""

    @property
    def concurrent_of_normal(self) -> int | None:
        """Of these the ones that tenants of normal priority may have: four fifths, one at least."""
        return self.concurrent and max(1, self.concurrent * 4 // 5)


@dataclass(frozen=True)
class Listener:
    """Where clients call the local engine."""

    address: str
    """An IP address."""
    tls: bool


@dataclass(frozen=True)
class Plan:
    """The whole stack's routing."""

    stack: str
    engine: Literal["local", "kubernetes"]
    models: tuple[ModelPlan, ...]
    """In order of name."""
    request_settings: RequestSettings
    accept: tuple[str, ...]
    tenants: tuple[TenantPlan, ...] = ()
    """Who may call, in order of name; empty: nobody is asked who they are."""
    issuers: tuple[Issuer, ...] = ()
    """In order of name."""
    nodes: tuple[Nodes, ...] = ()
    """In order of the host's name."""
    prices_locked: bool = field(default=True, compare=False, metadata=_PRIVATE)
    """Whether the prices are those of a file beside the stack's."""
    listener: Listener | None = field(default=None, compare=False, metadata=_PRIVATE)
    """Of the local engine."""
    cluster: EksCluster | KubeconfigCluster | None = field(default=None, compare=False, metadata=_PRIVATE)
    """Of the kubernetes engine."""
    certificate: Certificate | None = field(default=None, compare=False, metadata=_PRIVATE)
    """Of the kubernetes engine's gateway; None: one that its own authority issues."""
    plain_http: bool = field(default=False, compare=False, metadata=_PRIVATE)
    """Whether that gateway answers plain HTTP as well."""
    replicas: Replicas | None = field(default=None, compare=False, metadata=_PRIVATE)
    """Of its Envoys."""
    stored: tuple[str, ...] = field(default=(), compare=False, metadata=_PRIVATE)
    """Whose keys it has a store of secrets give: hosts', and the token for weights, in order of name."""
    versions: Versions | None = field(default=None, compare=False, metadata=_PRIVATE)
    """Of its software."""
    trace_headers: bool = field(default=True, metadata=_PRIVATE)
    """Whether answers say by which plan they were routed."""
    commit: str | None = field(default=None, metadata=_PRIVATE)
    """That of the repository at which the stack file was read, with `-dirty` where the file differed from it; None:
    unknown."""

    @cached_property
    def targets(self) -> tuple[tuple[ModelPlan, Target], ...]:
        """Every target with its model, model by model."""
        return tuple((model, target) for model in self.models for target in model.targets)

    @cached_property
    def live(self) -> tuple[tuple[ModelPlan, Target], ...]:
        """The targets that a request can reach, as `targets`."""
        return tuple((model, target) for model in self.models for target in model.live)

    @cached_property
    def hosts(self) -> Mapping[str, Target]:
        """The hosts that any model names as a target, in order of name, each as one of its targets: all are called
        alike."""
        return _by_name(model.by_host for model in self.models)

    @cached_property
    def live_hosts(self) -> Mapping[str, Target]:
        """Those that a request, or a copy of one, can reach."""
        return _by_name(model.called for model in self.models)

    def at(self, host: str) -> dict[str, Target]:
        """The targets at a host, by model in order of name; empty where no model names it."""
        return dict(self._by_host.get(host, {}))

    @cached_property
    def _by_host(self) -> dict[str, dict[str, Target]]:
        by_host: dict[str, dict[str, Target]] = {}
        for model, target in self.targets:
            by_host.setdefault(target.host, {})[model.name] = target
        return by_host

    @property
    def model_names(self) -> tuple[str, ...]:
        """In order."""
        return tuple(model.name for model in self.models)

    def tenants_of(self, model: str) -> tuple[TenantPlan, ...]:
        """The tenants that may ask for a model."""
        return tuple(tenant for tenant in self.tenants if model in tenant.models)

    def confined(self, model: str) -> tuple[TenantPlan, ...]:
        """Those of them that have a residency of their own."""
        return self._confined.get(model, ())

    @cached_property
    def _confined(self) -> dict[str, tuple[TenantPlan, ...]]:
        confined: dict[str, tuple[TenantPlan, ...]] = {}
        for tenant in self.tenants:
            for model in tenant.models if tenant.residency else ():
                confined[model] = (*confined.get(model, ()), tenant)
        return confined

    @property
    def rates(self) -> tuple[Rate, ...]:
        """All rates of all tenants."""
        return tuple(rate for tenant in self.tenants for _, rate in tenant.all_rates)


def _by_name(targets: Iterable[Mapping[str, Target]]) -> dict[str, Target]:
    joined: dict[str, Target] = {}
    for each in targets:
        joined.update(each)
    return {host: joined[host] for host in sorted(joined)}
