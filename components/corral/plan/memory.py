"""What is derived of a model is kept with it: an edit of one then costs what that one does, however many there are.

A model that an edit has not changed is the same object in the next plan (`build`).

Python's cyclic garbage collector is held back while a plan comes into being.  One of a thousand models on ten hosts is
some million objects, none of them garbage and none of them in a cycle.  The collector would go through all that exist,
again and again: as long again as the work itself takes.  What is not in a cycle is freed as ever; what is waits until
the work is done, and what has come into being counts as old then.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
W = TypeVar("W")
R = TypeVar("R")


def memoized(derive: Callable[Concatenate[W, P], R]) -> Callable[Concatenate[W, P], R]:
    """Keeps with a model, or a plan, what was derived of it last, and gives that again for equal further arguments."""
    name = f"{derive.__module__}.{derive.__qualname__}"

    @wraps(derive)
    def of(whole: W, *args: P.args, **kwargs: P.kwargs) -> R:
        further, kept = (args, kwargs), vars(whole)
        if name not in kept or kept[name][0] != further:
            kept[name] = further, derive(whole, *args, **kwargs)
        return kept[name][1]

    return of


@contextmanager
def held_back() -> Generator[None]:
    """Until the end of the block, or of the outermost one, no garbage is looked for."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()
            gc.unfreeze()  # which leaves all that is there with what is old
            gc.enable()
