"""Python's cyclic garbage collector, held back while a plan is made and brought into force.

A plan of a thousand models on ten hosts and its configuration are some million objects, none of them garbage and none
of them in a cycle.  The collector would go through all that exist, again and again, while they come into being: as long
again as the work itself takes.  What is not in a cycle is freed as ever; what is waits until the work is done.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def held_back() -> Generator[None]:
    """Until the end of the block, or of the outermost one, no garbage is looked for."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
