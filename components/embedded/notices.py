"""What an operator must hear of a host at once: it refuses our key, it has not got the model, it is left out.

A host answers 404 for want of the model or of the path (Bedrock has no embeddings): Envoy's counters do not tell which.
"""

from __future__ import annotations

from collections.abc import Callable

from components.embedded.status import REFUSED, Counts
from components.plan.plan import Plan, Target
from components.render.envoy.names import link_name


class Notices:
    """Says each thing once, until a new plan comes into force or the thing is over."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._refusals: set[tuple[str, str, int]] = set()
        self._left_out: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """A new plan is in force: a refusal is news again."""
        self._refusals.clear()

    def look(self, counts: Counts, unhealthy: set[tuple[str, str]], plan: Plan) -> None:
        """Looks at the counters since the plan came into force, and at the hosts left out."""
        refusals = {series for series, number in counts.attempts.items() if number and series[2] in REFUSED}
        if not (refusals - self._refusals or unhealthy or self._left_out):
            return
        for model in plan.models:
            for target in model.targets:
                for code in sorted(REFUSED):
                    series = (model.name, target.host, code)
                    if counts.attempts[series] and series not in self._refusals:
                        self._refusals.add(series)
                        self._say(f"{_refusal(target, model.name, code)} Its requests go to the other hosts.")
                link = link_name(model.name, target.priority)
                self._look_at_health(model.name, target.host, (link, target.host) in unhealthy)

    def _look_at_health(self, model: str, host: str, out: bool) -> None:
        if out and (model, host) not in self._left_out:
            self._left_out.add((model, host))
            self._say(f"{host} is left out of {model}: it failed five times in a row.")
        elif not out and (model, host) in self._left_out:
            self._left_out.discard((model, host))
            self._say(f"{host} is back in {model}.")


def _refusal(target: Target, model: str, code: int) -> str:
    if code in (401, 403):
        key = f" (is the one in {target.credential.variable} right?)" if target.credential.variable else ""
        return f"{target.host} REFUSES OUR KEY for {model}: HTTP {code}{key}."
    missing = f"{target.model_id}, which it should serve as {model}"
    if code == 404:
        missing += ", or not the path that was asked for"
    return f"{target.host} HAS NOT GOT {missing}: HTTP {code}. Try corral verify."
