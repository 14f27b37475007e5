"""One host as a target of one model: how it is called, what it can do, and what it costs there.

Policy.  The host's own id of a model is the stack's, else the catalog's.  What the catalog knows is looked up by that
id first (so that a stack may call a known model by a name of its own) and by our name second.  What the stack states
replaces what the catalog has, field by field; but an id that the catalog does not know at this host takes with it what
belongs to an id rather than to a model: its price, the regions from which it can be called and those it reaches, and
whether it was verified.  Those are then the stack's to state, or unknown.

vLLM serves what the stack gives it: a model with `modelWeights`, or one under `models` (which is how a vLLM behind a
URL gets its models).  It knows the model by our name unless the stack gives an id.  A host that the catalog keeps as a
placeholder serves nothing until the stack gives the model's id there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container
from dataclasses import replace
from typing import Any, NamedTuple

from corral.catalog import units
from corral.catalog.catalog import Catalog, HostEntry, Limit, ModelEntry, ModelFacts, Takes
from corral.catalog.prices import Prices
from corral.catalog.units import Restricted, Retired
from corral.config.cluster import KubeconfigCluster
from corral.config.hosts import AzureHost, BedrockHost, Host, ModelAtHost, VllmHost
from corral.config.stack import Model, Peak, Stack
from corral.plan.gpu_fit import concurrent, fit
from corral.plan.gpus import Fit, Misfit
from corral.plan.plan import OWN_GPUS, Credential, Lifecycle, Load, Price, Target, Unserved
from corral.plan.residency import reaches


def region(host: Host, stack: Stack) -> str | None:
    """The region that is called, for a host that has one.

    The stack's `aws:region` stands in for Bedrock's, and for that of vLLM which the stack itself provisions; a vLLM
    behind a URL may stand anywhere.
    """
    match host:
        case BedrockHost():
            return host.region or stack.region
        case AzureHost():
            return host.location
        case VllmHost():
            return host.region or (None if host.url else stack.region)
        case _:
            return None


def url(host: Host, entry: HostEntry, called: str | None) -> str | None:
    """The base URL without a slash at its end: the stack's, else the catalog's with its holes filled.

    None where a hole stays empty (Azure's `{resource}` before it is provisioned) and for vLLM that is still to be
    provisioned.
    """
    if host.url:
        return host.url
    if entry.url is None or isinstance(host, VllmHost):
        return None
    filling = {"region": called, "resource": host.resource if isinstance(host, AzureHost) else None}
    filled = {hole: value for hole, value in filling.items() if value}
    holes: set[str] = set(re.findall(r"\{(\w+)\}", entry.url))
    return entry.url.format_map(filled).rstrip("/") if holes <= filled.keys() else None


def without_identity(stack: Stack) -> bool:
    """Whether the gateway runs on a cluster that gives it no identity at AWS: one that a kubeconfig names."""
    return stack.engine.kind == "kubernetes" and isinstance(stack.cluster, KubeconfigCluster)


def credential(name: str, host: Host, entry: HostEntry, stack: Stack) -> Credential:
    """The credential the host wants.

    A key whose variable nobody names is looked for under the host's name: `lab` → `LAB_API_KEY`.
    """
    variable = host.key_variable or entry.key_variable
    stored = stack.secret_store is not None and name in stack.secret_store.keys
    match host.auth or entry.auth:
        case "none":
            return Credential(header=None, ambient=False, variable=None)
        case "aws":
            return Credential(header=None, ambient=True, variable=variable, file=without_identity(stack), stored=stored)
        case "entra":
            return Credential("authorization", ambient=False, variable=None, entra=True, stored=stored)
        case "bearer":
            header = "authorization"
        case "api-key":
            header = "api-key"
    variable = variable or f"{name.upper().replace('-', '_')}_API_KEY"
    return Credential(header, ambient=False, variable=variable, key_file=host.key_file, stored=stored)


def _adapted(entry: HostEntry, stack: Stack) -> bool:
    on_cluster = stack.engine.kind == "kubernetes"
    return on_cluster and entry.protocol != "openai" and stack.gateway.adapter_image is not None


class HostTargets:
    """One host of a stack as a target of its models, with what is the same for all of them."""

    def __init__(self, name: str, stack: Stack, catalog: Catalog, prices: Prices) -> None:
        self._name, self._stack, self._catalog, self._prices = name, stack, catalog, prices
        host = self._host = stack.hosts[name]
        entry = self._entry = catalog.hosts[host.kind]
        self._by_id = {each.id: each for _, each in sorted(entry.models.items(), reverse=True)}
        loaded = (stack.models[model] for model in _weights(host) if model in stack.models)
        self._loading = sum(name in (*model.shares, *model.fallback) for model in loaded)
        called = self._called = region(host, stack)
        self._url = url(host, entry, called)
        self._credential = credential(name, host, entry, stack)
        self._limit = load(host.limits)
        self._adapted = _adapted(entry, stack)
        self._unplaced = tuple(each for each in host.regions or () if each not in catalog.places)
        self._usual_limit = load(entry.limits) if entry.limits else Load()
        self._usual: dict[tuple[int, bool], Target] = {}
        """What is alike of models of which the stack states at most an id, by the catalog's entry and whether that is
        of this id."""

    def serve(self, model: str, *, share: int, weight: int, priority: int) -> Target | Unserved:
        """The host as a target of the model, at this place in its order, or why it is none."""
        host, entry = self._host, self._entry
        given = host.models.get(model)
        stated, own_id = (given, given.id) if isinstance(given, ModelAtHost) else (_NOTHING_STATED, given)
        listed = self._listed(model, own_id)
        model_id = _id(host, entry, model, own_id, listed)
        if model_id is None:
            return _unserved(model, self._name, host, self._catalog, share=share, priority=priority)
        of_id = listed if listed and listed.id == model_id else None
        fitted = self._fit(model, stated)
        usual = (id(listed), of_id is None) if stated is _NOTHING_STATED and fitted is None else None
        alike = (usual and self._usual.get(usual)) or self._alike(listed, of_id, stated, fitted)
        if usual:
            self._usual[usual] = alike
        return _replaced(
            alike,
            model_id=model_id,
            share=share,
            weight=weight,
            priority=priority,
            reaches=reaches(host, entry, stated, of_id, model_id, self._called),
            price=_price(stated, host, model_id, self._prices),
            limit=self._limit_of(model, fitted),
            base_model=_base_model(host, entry, model, model_id, self._by_id),
        )

    def _alike(
        self, listed: ModelEntry | None, of_id: ModelEntry | None, stated: ModelAtHost, fitted: Fit | Misfit | None
    ) -> Target:
        """A target without what is of one model alone: its id there and what that decides, its place and its limit."""
        host, entry = self._host, self._entry
        facts = _merged(entry.takes, listed, host.takes, stated)
        return Target(
            host=self._name,
            kind=host.kind,
            model_id="",
            share=0,
            weight=0,
            priority=0,
            protocol=entry.protocol,
            url=self._url,
            ca=host.ca,
            credential=self._credential,
            reaches=None,
            callable_from=tuple(sorted(of_id.callable_from)) if of_id and of_id.callable_from else None,
            region=self._called,
            context=facts.context,
            output=facts.output,
            takes=facts.takes,
            lifecycle=_lifecycle(stated.lifecycle or (listed and listed.lifecycle)),
            price=None,
            verified=of_id.verified if of_id else True,
            as_of=of_id.as_of if of_id else None,
            source=of_id.source if of_id else "stack",
            limit=self._usual_limit,
            fit=fitted,
            host_limit=self._limit,
            overflow_wait=host.overflow,
            guarded=isinstance(host, BedrockHost) and host.guardrail is not None,
            adapted=self._adapted,
            session_hint=entry.session_hint,
            unplaced=() if stated.reaches else self._unplaced,
        )

    def _listed(self, model: str, model_id: str | None) -> ModelEntry | None:
        """The catalog's entry of the id that the stack gives, else that of our name."""
        ours = self._entry.models.get(model)
        return ours if model_id is None or (ours and ours.id == model_id) else self._by_id.get(model_id, ours)

    def _fit(self, model: str, stated: ModelAtHost) -> Fit | Misfit | None:
        """On the GPUs that the stack provisions, which weights are loaded onto."""
        host, name = self._host, self._name
        if not isinstance(host, VllmHost) or host.url:
            return None
        if model not in host.model_weights:
            return Misfit(
                f"there are no weights of {model} for {name} to load",
                f"give them, corral:hosts.{name}.modelWeights.{model}, "
                f"or say where {name} runs already, corral:hosts.{name}.url",
            )
        if not host.gpus:
            return None
        fitted = fit(
            model,
            host.model_weights[model],
            stated.context,
            name,
            host.gpus,
            self._catalog,
            models=self._loading,
            alone=_alone(name, self._stack.models[model], self._stack),
        )
        scaled = self._stack.cluster.prometheus is not None
        return replace(fitted, scaled=scaled) if isinstance(fitted, Fit) else fitted

    def _limit_of(self, model: str, fitted: Fit | Misfit | None) -> Load:
        """Number by number what the stack states, else the capacity it declares or what its GPUs hold, else the
        catalog's.

        A capacity is in thousand tokens; provisioned, Azure counts it in units, of which nobody knows the tokens.
        """
        host, usual, peak = self._host, self._usual_limit, self._stack.models[model].peak
        own = host.limits.per_model.get(model)
        thousands = host.capacity.get(model) if isinstance(host, AzureHost) and host.sku == "GlobalStandard" else None
        held = concurrent(fitted, peak and load(peak)) if isinstance(fitted, Fit) else None
        if not (own or thousands or held):
            return usual
        stated = load(own) if own else Load()
        return Load(
            concurrent=stated.concurrent or held or usual.concurrent,
            requests=stated.requests or usual.requests,
            tokens=stated.tokens or (thousands and thousands * 1_000) or usual.tokens,
        )


def _replaced(target: Target, **fields: object) -> Target:
    """As `dataclasses.replace`, which checks and sets each of thirty fields by itself: half of the time of a plan."""
    new = object.__new__(Target)
    vars(new).update(vars(target), **fields)
    return new


_NOTHING_STATED = ModelAtHost()
"""Of a model that the stack says nothing of at a host but its id, or nothing at all."""


class _Facts(NamedTuple):
    context: int | None
    output: int | None
    takes: Takes


_NO_TAKES = Takes()


def _merged(*known: Takes | None) -> _Facts:
    """Field by field the last that says anything."""
    facts: dict[str, Any] = {
        name: value
        for each in known
        if each
        for name in each.model_fields_set & ModelFacts.model_fields.keys()
        if (value := getattr(each, name)) is not None
    }
    context, output = facts.pop("context", None), facts.pop("output", None)
    takes = {name: value for name, value in facts.items() if name in Takes.model_fields}
    return _Facts(context, output, _NO_TAKES.model_copy(update=takes) if takes else _NO_TAKES)


def _weights(host: Host) -> Collection[str]:
    return host.model_weights if isinstance(host, VllmHost) else ()


def _id(host: Host, entry: HostEntry, model: str, own_id: str | None, listed: ModelEntry | None) -> str | None:
    if own_id:
        return own_id
    if isinstance(host, VllmHost):
        return model if model in host.model_weights or model in host.models else None
    return listed.id if listed and not entry.placeholder else None


def _unserved(model: str, name: str, host: Host, catalog: Catalog, *, share: int, priority: int) -> Unserved:
    entry, family = catalog.hosts[host.kind], catalog.models.get(model)
    reason = entry.placeholder or (family and family.placeholder)
    of_model = f"corral:hosts.{name}.models.{model}"
    keys = (of_model,)
    if isinstance(host, VllmHost) and not host.url:
        why, keys = "the stack gives it no weights of the model", (f"corral:hosts.{name}.modelWeights.{model}",)
    elif model in host.models:
        why, keys = f"{of_model} gives no id", (f"{of_model}.id",)
    elif entry.models and not isinstance(host, VllmHost):
        why = "the catalog has no such model there"
    else:
        why = f"{of_model} does not say what it is called there"
    if entry.placeholder and not (host.url or entry.url):
        keys = (f"corral:hosts.{name}.url", *keys)
    return Unserved(
        host=name,
        role="share" if priority == 0 else "fallback",
        share=share,
        why=reason or why,
        placeholder=reason is not None,
        keys=keys,
        kind=host.kind,
    )


def load(stated: Limit | Peak) -> Load:
    """What the stack or the catalog says of it."""
    return Load(stated.concurrent, stated.requests_per_minute, stated.tokens_per_minute)


_OF_GEOGRAPHY = re.compile(r"[a-z-]+\.(?P<model>[a-z0-9]+\..+)")


def foundation_model(model_id: str) -> str | None:
    """The foundation model behind an id at Bedrock, as far as the id tells; None where an ARN does not.

    `meta.llama3-3-70b-instruct-v1:0` is one; `us.` in front of it makes it the id of a cross-region profile; an
    application inference profile has an ARN, which does not tell its model.
    """
    bare = model_id
    if model_id.startswith("arn:"):
        if "foundation-model/" not in model_id and ":inference-profile/" not in model_id:
            return None
        bare = model_id.rpartition("/")[2]
    of_geography = _OF_GEOGRAPHY.fullmatch(bare)
    return of_geography["model"] if of_geography else bare


def _base_model(host: Host, entry: HostEntry, model: str, model_id: str, in_catalog: Container[str]) -> str | None:
    """Where the id does not tell, the catalog's word for the model of this name."""
    listed = entry.models.get(model)
    match host:
        case BedrockHost():
            return foundation_model(model_id) or (foundation_model(listed.id) if listed else None)
        case AzureHost():
            return listed.id if listed and model_id not in in_catalog else model_id
        case _:
            return None


def _alone(name: str, model: Model, stack: Stack) -> bool:
    """Whether there are shares with which no other host, awake, would answer for the model.

    What the shares are does not count: an edit of them touches no server.
    """

    def may_sleep(host: Host) -> bool:
        return isinstance(host, VllmHost) and host.gpus is not None and host.gpus.min == 0

    return name not in model.fallback and all(may_sleep(stack.hosts[each]) for each in model.fallback)


_AVAILABLE = Lifecycle("available")


def _lifecycle(state: units.Lifecycle | None) -> Lifecycle:
    match state:
        case Restricted(restricted=why):
            return Lifecycle("restricted", why=why)
        case Retired(retired=day):
            return Lifecycle("retired", on=day)
        case _:
            return _AVAILABLE


def _price(stated: ModelAtHost, host: Host, model_id: str, prices: Prices) -> Price | None:
    """The stack's; nothing more than the nodes cost; else that of the list for this id."""
    if stated.price:
        return Price(stated.price.input, stated.price.output, "stack", stated.price.cached_input)
    if isinstance(host, VllmHost) and host.gpus and not host.url:
        return Price(0, 0, OWN_GPUS)
    price = prices.token(host.kind, model_id)
    return price and Price(price.input, price.output, price.source, price.cached_input, price.review_by)
