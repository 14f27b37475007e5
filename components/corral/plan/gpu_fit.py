"""Whether a model fits on the GPUs that a stack gives it, on how many of them a server runs, and how many servers.

Policy.  A server has all its GPUs on one node.  Of their memory a tenth is left to the driver (vLLM runs with
`--gpu-memory-utilization 0.90`) and another tenth to activations and CUDA graphs; eight tenths hold the weights, and
what they leave is the cache of keys and values.  A server takes the fewest GPUs (1, 2, 4 or 8, a number that divides
the model's heads) at which the cache holds one request of the context that is wanted: what the stack says of the model
at this host, else the model's own up to 128,000 tokens.  Where the stack says nothing and no number of GPUs reaches
that, the server takes as many as there are and serves a shorter context, down to 8,192 tokens; below that the model
does not fit.  Llama 4 keeps less in its cache than is counted here (most of its layers attend to 8,192 tokens only).

Where a host has several instance types, a server has to run on each of them as it stands: as many GPUs to a node and to
a server, and the context that the smallest holds.

Weights take two bytes per parameter, one where their name says FP8 or INT8, half a byte where it says four bits.

The models of a host share its nodes evenly, counted in GPUs.  A model has as many servers at most as its part of `max`
holds, and at least as many as its part of `min` holds; at least one, unless `min` is 0 and another host answers
whatever the shares are: the model has a fallback that does not sleep itself, or this host is one.

Sizes are in bytes; in sentences GB is 10^9 of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from corral.catalog.catalog import Catalog, Shape
from corral.config.hosts import Gpus
from corral.config.problems import listed, number
from corral.plan.gpus import Fit, Misfit
from corral.plan.plan import Load

CONTEXT = 128_000
"""Tokens that are wanted where the stack does not say."""
LEAST_CONTEXT = 8_192
"""Tokens below which a server is of no use to a chat."""
_TENTHS = 8
"""Of a GPU's memory, for weights and cache."""
_DEGREES = (1, 2, 4, 8)
"""GPUs of one server: Llama has 8 heads of keys and values, and a node has 8 GPUs at most."""
_CACHE_BYTES = 2
"""Per number in the cache, which is kept in 16 bits."""
SEQUENCES = 128
"""Requests a server works on at a time; what comes beyond them waits in its queue."""


@dataclass(frozen=True)
class _Node:
    instance: str
    count: int
    memory: int
    """Bytes of one GPU."""

    def usable_memory(self, gpus: int) -> int:
        """Bytes for weights and cache on so many GPUs."""
        return gpus * self.memory * _TENTHS // 10


def fit(
    model: str,
    weights: str,
    context: int | None,
    host: str,
    gpus: Gpus,
    catalog: Catalog,
    *,
    models: int,
    alone: bool,
) -> Fit | Misfit:
    """The model on the host's GPUs, whichever of its instance types is to be had.

    `context` is what the stack wants, in tokens.  `models` is how many the host serves; `alone`, that no other host
    can answer for this one.
    """
    fits: list[Fit] = []
    for instance in gpus.instances:
        of_one = gpus.model_copy(update={"instance": instance, "alternatives": []})
        fitted = _fit(model, weights, context, host, of_one, catalog, models=models, alone=alone)
        if isinstance(fitted, Misfit):
            return fitted
        fits.append(fitted)
    first = fits[0]
    for other in fits:
        if (other.node, other.gpus) != (first.node, first.gpus):
            return Misfit(
                f"a server of {model} takes {first.gpus} of {_counted(first.node, 'GPU')} on {first.instance} and "
                f"{other.gpus} of {other.node} on {other.instance}, and all servers of a model are alike",
                f"leave {other.instance} out of corral:hosts.{host}.gpus.alternatives, or give it a host of its own",
            )
    lengths = [each.context for each in fits if each.context is not None]
    caches = [each.cache for each in fits if each.cache is not None]
    return replace(first, context=min(lengths, default=None), cache=min(caches, default=None))


def _fit(
    model: str,
    weights: str,
    context: int | None,
    host: str,
    gpus: Gpus,
    catalog: Catalog,
    *,
    models: int,
    alone: bool,
) -> Fit | Misfit:
    """The model on one instance type."""
    known = catalog.models.get(model)
    node, shape = _node(gpus, catalog), known.shape if known else None
    if node is None:
        return Misfit(
            f"the GPUs of {gpus.instance} are not known",
            f"say how many a node has and how much memory each has (corral:hosts.{host}.gpus.count and .memory), or "
            "take an instance type that the catalog knows",
        )
    if gpus.parallel and gpus.parallel > node.count:
        return Misfit(
            f"a server is to have {gpus.parallel} GPUs and {node.instance} has {node.count}",
            f"lower corral:hosts.{host}.gpus.parallel or take larger nodes",
        )
    if shape is None:
        if gpus.parallel is None:
            return Misfit(
                f"the size of {model} is not known",
                f"say how many GPUs a server has: corral:hosts.{host}.gpus.parallel",
            )
        degree, length, cache = gpus.parallel, context, None
    elif gpus.parallel and shape.heads % gpus.parallel:
        return Misfit(
            f"the {shape.heads} attention heads of {model} cannot be divided among {gpus.parallel} GPUs",
            f"set corral:hosts.{host}.gpus.parallel to {listed([str(degree) for degree in _degrees(shape)])}",
        )
    else:
        layout = _laid(shape, weights, context, known.context if known else None, node, gpus.parallel)
        if layout is None:
            return _misfit(model, shape, weights, context, host, node, gpus, catalog)
        degree, length = layout
        cache = _tokens(shape, weights, node.usable_memory(degree))
    servers = _servers(model, host, gpus, node, degree, length, models=models, alone=alone)
    return replace(servers, cache=cache) if isinstance(servers, Fit) else servers


def concurrent(fitted: Fit, peak: Load | None) -> int | None:
    """The requests that the servers work on at a time: as many as the cache holds, of the peak's length where that is
    known, else of the greatest; None: unknown."""
    length = -(-peak.tokens // peak.requests) if peak and peak.tokens and peak.requests else fitted.context
    if fitted.cache is None or length is None:
        return None
    return fitted.servers * min(SEQUENCES, fitted.cache // length) or None


def _node(gpus: Gpus, catalog: Catalog) -> _Node | None:
    """The stack's word where it has one, else the catalog's."""
    known = {node.instance: node for node in _nodes(catalog)}.get(gpus.instance)
    count = gpus.count or (known and known.count)
    memory = gpus.memory or (known and known.memory)
    return _Node(gpus.instance, count, memory) if count and memory else None


def _nodes(catalog: Catalog) -> Iterator[_Node]:
    for gpu in catalog.gpus.values():
        for name, instance in gpu.instances.items():
            yield _Node(name, instance.count, gpu.memory * 2**20)


def _laid(
    shape: Shape, weights: str, context: int | None, whole: int | None, node: _Node, parallel: int | None
) -> tuple[int, int] | None:
    """GPUs of a server and the context it serves; None: it does not fit."""
    degrees = [parallel] if parallel else [degree for degree in _degrees(shape) if degree <= node.count]
    wanted = context or min(whole or CONTEXT, CONTEXT)
    for degree in degrees:
        if _tokens(shape, weights, node.usable_memory(degree)) >= wanted:
            return degree, wanted
    most = _tokens(shape, weights, node.usable_memory(degrees[-1])) // 1024 * 1024
    return (degrees[-1], most) if context is None and most >= LEAST_CONTEXT else None


def _degrees(shape: Shape) -> list[int]:
    return [degree for degree in _DEGREES if shape.heads % degree == 0 and degree <= shape.kv_heads]


def _tokens(shape: Shape, weights: str, memory: int) -> int:
    """Tokens that the cache holds in what the weights leave of the memory; negative where they do not go in."""
    return (memory - _size(shape, weights)) // _per_token(shape)


def _per_token(shape: Shape) -> int:
    """Bytes in the cache: a key and a value per layer."""
    return 2 * shape.layers * shape.kv_heads * shape.head_size * _CACHE_BYTES


_BITS = (
    (4, re.compile(r"(?<![a-z0-9])(int4|fp4|nvfp4|mxfp4|w4a16|awq|gptq|4bit)(?![a-z0-9])", re.IGNORECASE)),
    (8, re.compile(r"(?<![a-z0-9])(fp8|int8|w8a8|w8a16|8bit)(?![a-z0-9])", re.IGNORECASE)),
)


def _bits(weights: str) -> int:
    """Per parameter, as the weights' name has it."""
    return next((bits for bits, named in _BITS if named.search(weights)), 16)


def _size(shape: Shape, weights: str) -> int:
    return shape.parameters * 10**6 * _bits(weights) // 8


def _servers(
    model: str, host: str, gpus: Gpus, node: _Node, degree: int, context: int | None, *, models: int, alone: bool
) -> Fit | Misfit:
    usable = node.count // degree * degree
    most = gpus.max * usable // models // degree
    if most == 0:
        needed = -(-models * degree // usable)
        return Misfit(
            f"a server of {model} takes {_counted(degree, 'GPU')}; {gpus.max} × {node.instance} has "
            f"{_counted(gpus.max * usable, 'GPU')} for {_counted(models, 'model')}",
            f"set corral:hosts.{host}.gpus.max to {needed} at least, or give {model} a host of its own",
        )
    least = gpus.min * usable // models // degree
    asleep = gpus.min == 0 and not alone
    return Fit(node.instance, node.count, degree, context, least=0 if asleep else max(1, least), most=most)


def _misfit(
    model: str, shape: Shape, weights: str, context: int | None, host: str, node: _Node, gpus: Gpus, catalog: Catalog
) -> Misfit:
    bits, size = _bits(weights), _size(shape, weights)
    wanted = context or LEAST_CONTEXT
    degree = gpus.parallel or max(degree for degree in _degrees(shape) if degree <= node.count)
    cache = wanted * _per_token(shape)
    why = (
        f"{model} takes {_gb(size)} of weights ({number(shape.parameters)} million parameters, {bits} bits each: "
        f"{weights}) and {_gb(cache)} of cache for {number(wanted)} tokens, {_gb(size + cache)} together; "
        f"{_counted(degree, 'GPU')} of {node.instance} with {_gb(node.memory)} each {'has' if degree == 1 else 'have'} "
        f"{_gb(node.usable_memory(degree))} for both, after a fifth for the driver and activations"
    )
    enough = [other.instance for other in _cheapest(catalog) if _laid(shape, weights, wanted, None, other, None)]
    ways = [f"take {listed(enough[:3])}"] if enough else []
    if context:
        ways.append(f"ask for less context: corral:hosts.{host}.models.{model}.context")
    if bits == 16:
        ways.append(f"take weights of 8 bits ({_gb(size // 2)}), which have FP8 in their name")
    return Misfit(why, ", or ".join(ways) or "take weights of fewer bits: no instance type that is known holds these")


def _cheapest(catalog: Catalog) -> list[_Node]:
    """The instance types by price, those without one last."""
    prices = {name: each.hourly for gpu in catalog.gpus.values() for name, each in gpu.instances.items()}
    return sorted(_nodes(catalog), key=lambda node: (prices[node.instance] is None, prices[node.instance] or 0))


def _gb(size: int) -> str:
    """In whole GB from ten on."""
    tenths = round(size / 10**8)
    return f"{round(size / 10**9)} GB" if tenths >= 100 else f"{tenths // 10}.{tenths % 10} GB"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
