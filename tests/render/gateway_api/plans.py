"""Plans and links made by hand, and by hypothesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from components.config.gateway import Gateway, Replicas
from components.plan.plan import Credential, Lifecycle, Limits, ModelPlan, Plan, Target
from components.render.gateway_api.link import Link

GATEWAY = Gateway(replicas=Replicas(min=2, max=10))

LABELS = {"stack": "test"}

LIMITS = Limits(
    connect_timeout=5_000, idle_timeout=120_000, drain_timeout=600_000, ejection=10_000, body_limit=50 * 2**20
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
        streaming=None,
        tools=None,
        tools_while_streaming=None,
        vision=None,
        lifecycle=Lifecycle("available"),
        price=None,
        verified=True,
        as_of=None,
        source="stack",
        tokens_per_minute=None,
    )


def model(name: str, shares: Mapping[str, int], fallback: Sequence[str] = ()) -> ModelPlan:
    targets = [target(host, share, share, 0) for host, share in sorted(shares.items())]
    targets += [target(host, 0, 100, place) for place, host in enumerate(fallback, 1)]
    return ModelPlan(name=name, targets=tuple(targets), unserved=(), residency=None, allowed_regions=None, volume=None)


def plan(*models: ModelPlan) -> Plan:
    return Plan(stack="test", engine="kubernetes", models=models, limits=LIMITS, accept=())


def link(host: str, model: str, **differing: Any) -> Link:
    return replace(
        Link(
            hostname=f"{host}.example.com",
            port=443,
            tls=True,
            protocol="openai",
            path="/v1",
            model_id=f"{model} at {host}",
            header="authorization",
            signing_region=None,
            own_authority=False,
        ),
        **differing,
    )


def links(plan: Plan) -> dict[tuple[str, str], Link]:
    return {(to.host, model.name): link(to.host, model.name) for model in plan.models for to in model.targets}


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


@st.composite
def share_edits(draw: st.DrawFn) -> tuple[Plan, Plan, str]:
    """A plan, the same after the shares of one model were edited, and that model."""
    before = draw(plans())
    edited = draw(st.sampled_from(before.models))
    sharing = [to.host for to in edited.targets if to.priority == 0]
    fallback = [to.host for to in edited.fallbacks]
    after = model(edited.name, draw(shares_of(sharing)), fallback)
    return before, replace(before, models=tuple(after if one is edited else one for one in before.models)), edited.name
