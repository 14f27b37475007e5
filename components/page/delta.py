"""The difference of two states as a JSON Merge Patch (RFC 7396), so that a viewer is sent only what changed.

A state is objects within objects down to texts and numbers.  It holds no null and no list: what is unknown is absent,
and null in a difference says that a member has gone.
"""

from __future__ import annotations

from typing import Any, cast

State = dict[str, Any]


def difference(before: State, after: State) -> State:
    """What makes `after` of `before`; empty where they are the same."""
    changes: State = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if old == value:
            continue
        both = isinstance(old, dict) and isinstance(value, dict)
        changes[name] = difference(cast("State", old), cast("State", value)) if both else value
    return changes


def applied(state: State, changes: State) -> State:
    """The state after the changes, as RFC 7396 has it; neither argument is changed."""
    result = dict(state)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = applied(cast("State", old) if isinstance(old, dict) else {}, cast("State", value))
        else:
            result[name] = value
    return result
