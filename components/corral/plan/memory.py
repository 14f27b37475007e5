"""What is derived of a model is kept with it: an edit of one then costs what that one does, however many there are.

A model that an edit has not changed is the same object in the next plan (`build`).
"""

from __future__ import annotations

from collections.abc import Callable
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
