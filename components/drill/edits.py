"""The share edits of a drill, for one model.  Whole percent; together always 100."""

from __future__ import annotations

from collections.abc import Mapping

Shares = Mapping[str, int]
"""Per host its percentage."""


def swapped(shares: Shares) -> dict[str, int]:
    """The largest and the smallest share exchanged; where all are alike, half of one goes to another.

    Of one sharing host there is nothing to exchange.
    """
    new = dict(shares)
    sharing = _by_size(shares)
    if len(sharing) < 2:
        return new
    first, last = sharing[0], sharing[-1]
    if shares[first] == shares[last]:
        moved = (shares[last] + 1) // 2
        new[first], new[last] = shares[first] + moved, shares[last] - moved
    else:
        new[first], new[last] = shares[last], shares[first]
    return new


def drained(shares: Shares) -> dict[str, int]:
    """The largest share given to the other sharing hosts, in proportion to theirs; what is left over to the largest."""
    new = dict(shares)
    sharing = _by_size(shares)
    if len(sharing) < 2:
        return new
    gone, others = sharing[0], sharing[1:]
    kept = sum(shares[host] for host in others)
    for host in others:
        new[host] = shares[host] * 100 // kept
    new[gone] = 0
    new[others[0]] += 100 - sum(new.values())
    return new


def _by_size(shares: Shares) -> list[str]:
    """The sharing hosts, largest share first, then by name."""
    return sorted((host for host, share in shares.items() if share), key=lambda host: (-shares[host], host))
