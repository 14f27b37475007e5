"""The recorded names that alerts and dashboard read, the same for both engines.

    corral:requests:rate<window>       {stack, model}              requests a second, as clients see them
    corral:error_ratio:rate<window>    {stack, model}              part of them that ended in a 5xx or in no answer
    corral:duration_seconds:p50, :p99  {stack, model}
    corral:first_byte_seconds:p50      {stack, model}
    corral:tokens:rate5m               {stack, model, direction}   tokens a second, `input` or `output`
    corral:cost_dollars:per_hour       {stack, model}              of the tokens whose price is known
    corral:observed_share:percent      {stack, model, host}        of the last half hour
    corral:declared_share:percent      {stack, model, host}
    corral:left_out                    {stack, model, host}        1 while it is left out for failing

On the kubernetes engine a host is known by the id of the model that it is asked for; hosts of one model with the same
id are one, named with all their names, and of a host that is left out only the model is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WINDOWS = ("5m", "30m", "1h", "6h", "3d")
"""Those of the burn rates in `alerts`."""


@dataclass(frozen=True)
class Record:
    """A recording rule."""

    name: str
    expression: str
    labels: dict[str, str] = field(default_factory=dict[str, str])

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.name, "expr": self.expression, **({"labels": self.labels} if self.labels else {})}


def quoted(text: str) -> str:
    """A text as PromQL writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
