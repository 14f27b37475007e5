"""Plans and endpoints made by hand, and by hypothesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from corral.catalog.catalog import Takes
from corral.config.cluster import Gateway, Replicas
from corral.gateway.manifests.resource import Inputs
from corral.gateway.names import NAMES
from corral.hosts.endpoint import AmbientCredential, Endpoint, EntraCredential, KeyCredential, StoredKey
from corral.plan.callers import Issuer, Rate, TenantPlan
from corral.plan.plan import Credential, Lifecycle, Load, ModelPlan, Plan, RequestSettings, Target
from corral.plan.tenants import served_to

GATEWAY = Gateway(replicas=Replicas(min=2, max=10))

LABELS = {"stack": "test"}

ANNOTATIONS = {"waits": "for it"}
"""Of every route."""

LIMITS = RequestSettings(
    connect_timeout=5_000, idle_timeout=120_000, drain_timeout=600_000, ejection_time=10_000, body_limit=50 * 2**20
)


def target(host: str, share: int, weight: int, priority: int) -> Target:
    return Target(
        host=host,
        kind="openai",
        model_id=f"{host}-id",
        share=share,
        weight=weight,
        priority=priority,
        protocol="openai",
        url=f"https://{host}.example.com/v1",
        ca=None,
        credential=Credential("authorization", ambient=False, variable=None),
        reaches=None,
        callable_from=None,
        region=None,
        context=None,
        output=None,
        takes=Takes(),
        lifecycle=Lifecycle("available"),
        price=None,
        verified=True,
        as_of=None,
        source="stack",
        limit=Load(),
    )


def model(name: str, shares: Mapping[str, int], fallback: Sequence[str] = ()) -> ModelPlan:
    targets = [target(host, share, share, 0) for host, share in sorted(shares.items())]
    targets += [target(host, 0, 100, place) for place, host in enumerate(fallback, 1)]
    return ModelPlan(name=name, targets=tuple(targets), unserved=(), residency=None, allowed_regions=None, volume=None)


def tenant(name: str, *models: str, **differing: Any) -> TenantPlan:
    """One who may ask for these models, and is not limited."""
    tenant_plan = TenantPlan(
        name=name,
        keys=(),
        claims=(),
        models=models,
        residency=None,
        allowed_regions=None,
        priority="normal",
        rate=Rate(),
        rates=(),
        concurrent=None,
        body_limit=None,
    )
    return replace(tenant_plan, **differing)


def plan(*models: ModelPlan, tenants: Sequence[TenantPlan] = (), issuers: Sequence[Issuer] = ()) -> Plan:
    return Plan(
        stack="test",
        engine="kubernetes",
        models=models,
        request_settings=LIMITS,
        accept=(),
        tenants=tuple(tenants),
        issuers=tuple(issuers),
    )


class Unread:
    """A value that is passed on and never read."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"read: {name}")


UNREAD: Any = Unread()

BEARER = KeyCredential("authorization", UNREAD)
API_KEY = KeyCredential("api-key", UNREAD)
ENTRA = EntraCredential("a-tenant", "a-client", UNREAD)
STORED = KeyCredential("authorization", StoredKey("aws", "corral/hosts", "lab", 3_600))
SIGNED: dict[str, Any] = {
    "protocol": "bedrock-converse",
    "path": "",
    "credential": AmbientCredential("us-east-1"),
}
CA = "-----BEGIN CERTIFICATE-----"


def endpoint(host: str, model: str, **differing: Any) -> Endpoint:
    default = Endpoint(
        model=model,
        host=host,
        hostname=f"{host}.example.com",
        port=443,
        tls=True,
        protocol="openai",
        path="/v1",
        model_id=f"{model} at {host}",
        credential=BEARER,
    )
    return replace(default, **differing)


def inputs(plan: Plan, *endpoints: Endpoint, **differing: Any) -> Inputs:
    """Of a plan whose targets have these endpoints, or else endpoints like any other."""
    own = {(each.host, each.model): each for each in endpoints}
    targets = [(to.host, model.name) for model in plan.models for to in model.targets]
    default = Inputs(
        plan=plan,
        endpoints=[own.get(at) or endpoint(*at) for at in targets],
        gateway=GATEWAY,
        network="eks",
        region="us-east-1",
        prometheus=None,
        registry=None,
        key_counts={},
        issuer_keys={},
        labels=LABELS,
        route_annotations=ANNOTATIONS,
        names=NAMES,
    )
    return replace(default, **differing)


HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
MODELS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,20}", fullmatch=True)


def shares_of(hosts: Sequence[str]) -> st.SearchStrategy[dict[str, int]]:
    """Shares that sum to 100; some may be 0."""
    cuts = st.lists(st.integers(0, 100), min_size=len(hosts) - 1, max_size=len(hosts) - 1).map(sorted)
    return cuts.map(
        lambda cuts: {host: high - low for host, low, high in zip(hosts, [0, *cuts], [*cuts, 100], strict=True)}
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Up to four models on up to six hosts."""
    hosts = draw(st.lists(HOSTS, min_size=1, max_size=6, unique=True))
    models: list[ModelPlan] = []
    for name in sorted(draw(st.lists(MODELS, min_size=1, max_size=4, unique=True))):
        order = draw(st.permutations(hosts))
        sharing = draw(st.integers(1, len(order)))
        fallbacks = draw(st.integers(0, len(order) - sharing))
        models.append(model(name, draw(shares_of(order[:sharing])), order[sharing : sharing + fallbacks]))
    return plan(*models)


def in_regions(model: ModelPlan, regions: Mapping[str, str]) -> ModelPlan:
    """The model with hosts that process requests in these regions."""
    placed = (replace(target, reaches=(regions[target.host],)) for target in model.targets)
    return replace(model, targets=tuple(placed))


@st.composite
def with_tenants(draw: st.DrawFn, plan: Plan) -> Plan:
    """The plan with up to three tenants, of whom each may be bound to models, to some of two regions, and to limits."""
    regions = {host: draw(st.sampled_from(["east", "west"])) for host in plan.hosts}
    models = tuple(in_regions(model, regions) for model in plan.models)
    names = [model.name for model in models]
    some = st.none() | st.integers(1, 9)
    tenants = [
        tenant(
            name,
            *sorted(draw(st.sets(st.sampled_from(names), min_size=1))),
            allowed_regions=draw(st.none() | st.sampled_from([frozenset({"east"}), frozenset({"west"})])),
            rate=Rate(draw(some), draw(some)),
            rates=((names[0], Rate(draw(some), draw(some))),) if draw(st.booleans()) else (),
        )
        for name in draw(st.sets(st.sampled_from(["a", "b", "c"]), min_size=1).map(sorted))
    ]
    served = [
        replace(one, allowed_regions=None)
        if any(not served_to(model, one).targets for model in models if model.name in one.models)
        else one
        for one in tenants
    ]
    return replace(plan, models=models, tenants=tuple(served))


@st.composite
def share_edits(draw: st.DrawFn) -> tuple[Plan, Plan, str]:
    """A plan, the same after the shares of one model were edited, and that model."""
    before = draw(plans())
    edited = draw(st.sampled_from(before.models))
    sharing = [to.host for to in edited.targets if to.priority == 0]
    fallback = [to.host for to in edited.fallbacks]
    after = model(edited.name, draw(shares_of(sharing)), fallback)
    return before, replace(before, models=tuple(after if one is edited else one for one in before.models)), edited.name
