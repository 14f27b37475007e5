"""Every host can be called: it has a URL or will get one, and is called from a region that the model allows."""

from __future__ import annotations

from collections.abc import Iterator

from components.checks.findings import Finding
from components.config.names import listed
from components.plan.calling import PROVISIONED
from components.plan.plan import Plan, Target


def address(plan: Plan) -> Iterator[Finding]:
    """Errors: a host without a URL or a region, and a model that cannot be called from its host's region."""
    targets = {target.host: target for model in plan.models for target in model.targets}
    for target in targets.values():
        if target.kind == "bedrock" and not target.region:
            yield Finding(
                "error",
                f"region/{target.host}",
                f"{target.host} has no region to call",
                f"set corral:hosts.{target.host}.region, or aws:region for the whole stack",
            )
        elif not target.url and target.kind not in PROVISIONED | {"bedrock"}:
            yield Finding(
                "error",
                f"url/{target.host}",
                f"{target.host} has no URL, and nothing that is provisioned will give it one",
                f"set corral:hosts.{target.host}.url",
            )
    for model in plan.models:
        for target in model.targets:
            if target.callable_from and target.region and target.region not in target.callable_from:
                yield _elsewhere(model.name, target, target.callable_from)


def _elsewhere(model: str, target: Target, callable_from: tuple[str, ...]) -> Finding:
    return Finding(
        "error",
        f"region/{model}/{target.host}",
        f"{target.host} is called in {target.region}, but {target.model_id} only in {listed(callable_from)}",
        f"set corral:hosts.{target.host}.region to {listed(callable_from)}, or give an id that {target.region} has: "
        f"corral:hosts.{target.host}.models.{model}",
    )
