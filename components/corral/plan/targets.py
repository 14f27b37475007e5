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
from dataclasses import replace

from corral.catalog import units
from corral.catalog.catalog import Catalog, HostEntry, Limit, ModelEntry, ModelFacts, Takes
from corral.catalog.prices import Prices
from corral.catalog.units import Restricted, Retired
from corral.config.cluster import KubeconfigCluster
from corral.config.hosts import AzureHost, BedrockHost, Host, ModelAtHost, VllmHost
from corral.config.stack import Model, Peak, Stack
from corral.plan.gpu_fit import concurrent, fit
from corral.plan.plan import OWN_GPUS, Credential, Fit, Lifecycle, Load, Misfit, Price, Target, Unserved
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


def serve(
    model: str, name: str, stack: Stack, catalog: Catalog, prices: Prices, *, share: int, weight: int, priority: int
) -> Target | Unserved:
    """The host `name` as a target of the model, at this place in its order, or why it is none."""
    host = stack.hosts[name]
    entry = catalog.hosts[host.kind]
    stated = _stated(host, model)
    listed = _listed(entry, model, stated.id)
    model_id = _id(host, entry, model, stated, listed)
    if model_id is None:
        return _unserved(model, name, host, catalog, share=share, priority=priority)
    facts = _facts(entry.takes, listed, host.takes, stated)
    of_id = listed if listed and listed.id == model_id else None
    called = region(host, stack)
    fitted = _fit(model, name, host, stated, stack, catalog)
    return Target(
        host=name,
        kind=host.kind,
        model_id=model_id,
        share=share,
        weight=weight,
        priority=priority,
        protocol=entry.protocol,
        url=url(host, entry, called),
        ca=host.ca,
        credential=credential(name, host, entry, stack),
        reaches=reaches(host, entry, stated, of_id, model_id, called),
        callable_from=tuple(sorted(of_id.callable_from)) if of_id and of_id.callable_from else None,
        region=called,
        context=facts.context,
        output=facts.output,
        takes=Takes.model_construct(**{name: getattr(facts, name) for name in Takes.model_fields}),
        lifecycle=_lifecycle(stated.lifecycle or (listed and listed.lifecycle)),
        price=_price(stated, host, model_id, prices),
        verified=of_id.verified if of_id else True,
        as_of=of_id.as_of if of_id else None,
        source=of_id.source if of_id else "stack",
        limit=_limit(model, host, entry, fitted, stack.models[model].peak),
        fit=fitted,
        host_limit=load(host.limits),
        guarded=isinstance(host, BedrockHost) and host.guardrail is not None,
        adapted=_adapted(entry, stack),
        base_model=_base_model(host, entry, model, model_id),
        unplaced=() if stated.reaches else tuple(each for each in host.regions or () if each not in catalog.places),
    )


def _stated(host: Host, model: str) -> ModelAtHost:
    """The stack's facts of the model at the host; a plain string is its id."""
    stated = host.models.get(model)
    return stated if isinstance(stated, ModelAtHost) else ModelAtHost.model_validate({"id": stated})


def _listed(entry: HostEntry, model: str, model_id: str | None) -> ModelEntry | None:
    """The catalog's entry of the id that the stack gives, else that of our name."""
    ours = entry.models.get(model)
    if model_id is None or (ours and ours.id == model_id):
        return ours
    return next((entry.models[name] for name in sorted(entry.models) if entry.models[name].id == model_id), ours)


def _facts(*known: Takes | None) -> ModelFacts:
    """Field by field the last that says anything."""
    facts = {
        name: value
        for each in known
        for name in ModelFacts.model_fields
        if (value := getattr(each, name, None)) is not None
    }
    return ModelFacts.model_construct(**facts)


def _id(host: Host, entry: HostEntry, model: str, stated: ModelAtHost, listed: ModelEntry | None) -> str | None:
    if stated.id:
        return stated.id
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


def _limit(model: str, host: Host, entry: HostEntry, fitted: Fit | Misfit | None, peak: Peak | None) -> Load:
    """Number by number what the stack states, else the capacity it declares or what its GPUs hold, else the catalog's.

    A capacity is in thousand tokens; provisioned, Azure counts it in units, of which nobody knows the tokens.
    """
    stated = load(host.limits.per_model.get(model, Limit()))
    usual = load(entry.limits) if entry.limits else Load()
    thousands = host.capacity.get(model) if isinstance(host, AzureHost) and host.sku == "GlobalStandard" else None
    held = concurrent(fitted, peak and load(peak)) if isinstance(fitted, Fit) else None
    return Load(
        concurrent=stated.concurrent or held or usual.concurrent,
        requests=stated.requests or usual.requests,
        tokens=stated.tokens or (thousands and thousands * 1_000) or usual.tokens,
    )


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


def _base_model(host: Host, entry: HostEntry, model: str, model_id: str) -> str | None:
    """Where the id does not tell, the catalog's word for the model of this name."""
    listed = entry.models.get(model)
    match host:
        case BedrockHost():
            return foundation_model(model_id) or (foundation_model(listed.id) if listed else None)
        case AzureHost():
            in_catalog = model_id in {each.id for each in entry.models.values()}
            return listed.id if listed and not in_catalog else model_id
        case _:
            return None


def _fit(model: str, name: str, host: Host, stated: ModelAtHost, stack: Stack, catalog: Catalog) -> Fit | Misfit | None:
    """On the GPUs that the stack provisions, which weights are loaded onto."""
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
        catalog,
        models=sum(
            name in (*other.shares, *other.fallback) and its_name in host.model_weights
            for its_name, other in stack.models.items()
        ),
        alone=_alone(name, stack.models[model], stack),
    )
    return replace(fitted, scaled=stack.cluster.prometheus is not None) if isinstance(fitted, Fit) else fitted


def _alone(name: str, model: Model, stack: Stack) -> bool:
    """Whether there are shares with which no other host, awake, would answer for the model.

    What the shares are does not count: an edit of them touches no server.
    """

    def may_sleep(host: Host) -> bool:
        return isinstance(host, VllmHost) and host.gpus is not None and host.gpus.min == 0

    return name not in model.fallback and all(may_sleep(stack.hosts[each]) for each in model.fallback)


def _lifecycle(state: units.Lifecycle | None) -> Lifecycle:
    match state:
        case Restricted(restricted=why):
            return Lifecycle("restricted", why=why)
        case Retired(retired=day):
            return Lifecycle("retired", on=day)
        case _:
            return Lifecycle("available")


def _price(stated: ModelAtHost, host: Host, model_id: str, prices: Prices) -> Price | None:
    """The stack's; nothing more than the nodes cost; else that of the list for this id."""
    if stated.price:
        return Price(stated.price.input, stated.price.output, "stack", stated.price.cached_input)
    if isinstance(host, VllmHost) and host.gpus and not host.url:
        return Price(0, 0, OWN_GPUS)
    price = prices.token(host.kind, model_id)
    return price and Price(price.input, price.output, price.source, price.cached_input, price.review_by)
