"""The garbage collector during a reload."""

from __future__ import annotations

import gc

from corral.plan.memory import held_back


def test_the_collector_is_back_after_the_outermost_block() -> None:
    seen: list[bool] = []
    with held_back():
        with held_back():
            seen.append(gc.isenabled())
        seen.append(gc.isenabled())
    assert [*seen, gc.isenabled()] == [False, False, True]
