"""What an operator must hear of a host at once: it refuses our key, it has not got the model, it is ejected.

A host answers 404 for want of the model or of the path (Bedrock has no embeddings): Envoy's counters do not tell which.
"""

from __future__ import annotations

from collections.abc import Callable

from corral.local.envoy.statistics import ATTEMPTS
from corral.local.statistics.readings import Readings, Series
from corral.plan.failover import REFUSED_STATUS
from corral.plan.plan import Plan, Target


class Notices:
    """Says each thing once, until a new plan comes into force or the thing is over."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._baseline = Readings()
        self._refusals: set[Series] = set()
        self._ejected: frozenset[tuple[str, str]] = frozenset()

    def in_force(self, baseline: Readings) -> None:
        """A new plan is in force: a refusal that comes after `baseline` is news again."""
        self._baseline = baseline
        self._refusals.clear()

    def check(self, readings: Readings, plan: Plan) -> None:
        """Says what is new in these readings."""
        before = self._baseline.counters
        refusals = {
            series
            for series, number in readings.counters.items()
            if series.counter == ATTEMPTS and series.code in REFUSED_STATUS and number > before[series]
        } - self._refusals
        ejected = readings.ejected(plan)
        if refusals or ejected != self._ejected:
            for model, target in plan.targets:
                self._compare(model.name, target, refusals, ejected)
        self._refusals |= refusals
        self._ejected = ejected

    def _compare(self, model: str, target: Target, refusals: set[Series], ejected: frozenset[tuple[str, str]]) -> None:
        for code in REFUSED_STATUS:
            if Series(ATTEMPTS, model, target.host, code) in refusals:
                self._say(f"{_refusal(target, model, code)} Its requests go to the other hosts.")
        now, before = (model, target.host) in ejected, (model, target.host) in self._ejected
        if now and not before:
            self._say(f"{target.host} is left out of {model}: it failed five times in a row.")
        elif before and not now:
            self._say(f"{target.host} is back in {model}.")


def _refusal(target: Target, model: str, code: int) -> str:
    if code in (401, 403) and target.credential.ambient:
        return (
            f"{target.host} REFUSES OUR AWS CREDENTIALS for {model}: HTTP {code}. A session or a token may have "
            "expired (corral verify says so): sign in again (aws sso login), or start with a new "
            "AWS_BEARER_TOKEN_BEDROCK."
        )
    if code in (401, 403):
        key = f" (is the one in {target.credential.source} right?)" if target.credential.source else ""
        return f"{target.host} REFUSES OUR KEY for {model}: HTTP {code}{key}."
    missing = f"{target.model_id}, which it should serve as {model}"
    if code == 404:
        missing += ", or not the path that was asked for"
    return f"{target.host} HAS NOT GOT {missing}: HTTP {code}. Try corral verify."
