"""The stairs of ramps: what each costs, and whether the peak is carried there.

Policy.  A stair where it is not, or whose loss of a host the stack has not accepted, is a warning today: `corral ramp`
does not go there.  So is a model whose shares are on no stair of its ramp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from corral.config.problems import flow, listed
from corral.plan.capacity import Case, headroom
from corral.plan.checks.findings import Finding
from corral.plan.money import Blended, Monthly, Unpriced, blended, monthly
from corral.plan.plan import ModelPlan, Plan
from corral.plan.ramps import Shares, with_shares


@dataclass(frozen=True)
class Stair:
    """One set of shares on the way of a ramp."""

    model: str
    shares: Shares
    current: bool
    """Whether it is in the stack now."""
    price: Blended | Unpriced
    month: Monthly | Unpriced | None
    """None: the stack declares no volume."""
    cases: tuple[Case, ...]
    """The peak with nothing lost, and with each loss; empty: the stack declares none."""

    def failing(self, accepted: tuple[str, ...] = ()) -> list[str]:
        """What is not carried: `peak/<model>` or `lost/<model>/<host or region>`."""
        names = {f"lost/{self.model}/{case.lost}" if case.lost else f"peak/{self.model}": case for case in self.cases}
        return [name for name, case in names.items() if case.verdict == "does not" and name not in accepted]


def flight(plan: Plan, model: ModelPlan) -> Iterator[Stair]:
    """The stairs of the model's ramp, from its beginning to its end; none where it has no ramp."""
    for shares in model.ramp.stairs if model.ramp else ():
        at = with_shares(plan, {model.name: shares})
        moved = next(each for each in at.models if each.name == model.name)
        cases = next((each.cases for each in headroom(at, of=model.name)), ())
        yield Stair(model.name, shares, shares == model.shares, blended(moved), monthly(moved), cases)


def ramps(plan: Plan) -> Iterator[Finding]:
    """Warnings: where a ramp stops, or does not begin."""
    for model in plan.models:
        stairs = [*flight(plan, model)]
        current = next((at for at, stair in enumerate(stairs) if stair.current), None)
        if stairs and current is None:
            yield Finding(
                "warning",
                f"ramp/{model.name}",
                f"{flow({**model.shares})} is no stair of the ramp of {model.name}, which takes no step from there",
                f"take corral:ramps.{model.name}.from out, and the ramp begins there",
            )
        for stair in stairs[(current or 0) + 1 :] if current is not None else ():
            if names := stair.failing(plan.accept):
                yield Finding(
                    "warning",
                    f"ramp/{model.name}",
                    f"the ramp of {model.name} stops before {flow({**stair.shares})}, where the peak is not carried",
                    f"have hosts take more, or accept {listed(names, 'and')}",
                )
                break
