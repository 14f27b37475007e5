"""What the id of a model at Bedrock tells by itself.

`meta.llama3-3-70b-instruct-v1:0` is a foundation model's; `us.` in front of it makes it that of a cross-region profile;
an application inference profile has an ARN, which does not tell its model.

What a plan calls at a Bedrock host, told so exactly that permissions can be written for it.

Policy.  The gateway may call what the plan calls and nothing else, so each model needs the foundation model behind its
id and every region in which AWS may process its requests.  Both come of the plan: an id tells its foundation model, an
application profile's ARN takes the catalog's word for the same model, and the regions are those the target reaches.
Where one of them is unknown, or a place stands for regions (`us`), nothing is provisioned: a permission that is wide
enough for what nobody knows would be wide enough for everything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corral.catalog.catalog import HostEntry
from corral.plan.plan import Plan, Target

_PROFILE = re.compile(r"[a-z-]+\.[a-z0-9]+\..+|arn:.+inference-profile/.+")
_OF_GEOGRAPHY = re.compile(r"[a-z-]+\.(?P<model>[a-z0-9]+\..+)")
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}


def is_profile(model_id: str) -> bool:
    """Whether the id is that of an inference profile."""
    return _PROFILE.fullmatch(model_id) is not None


def foundation_model(model_id: str) -> str | None:
    """The id of the foundation model behind it; None where an ARN does not tell."""
    tail = model_id.rpartition("/")[2] if "foundation-model/" in model_id or ":inference-profile/" in model_id else None
    if model_id.startswith("arn:") and tail is None:
        return None
    bare = tail or model_id
    of_geography = _OF_GEOGRAPHY.fullmatch(bare)
    return of_geography["model"] if of_geography else bare


def partition(region: str) -> str:
    """The part of AWS that a region belongs to: `aws`, but for China, GovCloud and the European Sovereign Cloud."""
    return next((part for start, part in _PARTITIONS.items() if region.startswith(start)), "aws")


_REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+")


@dataclass(frozen=True)
class BedrockModel:
    """One model as it is called."""

    name: str
    """The name clients ask for."""
    model_id: str
    """What is called: a foundation model's id, an inference profile's, or a profile's ARN."""
    foundation: str
    """The foundation model's id."""
    destinations: tuple[str, ...]
    """Every region in which a request may be processed, in order of name."""


class NotCallableError(Exception):
    """The plan does not say enough of a model to call it with no more permissions than it takes."""


def models(plan: Plan, host: str, entry: HostEntry) -> tuple[BedrockModel, ...]:
    """The models that the plan has at this host, in order of name; `entry` is the host's in the catalog.

    Raises NotCallableError.
    """
    return tuple(_model(model, target, entry) for model, target in plan.at(host).items())


def _model(name: str, target: Target, entry: HostEntry) -> BedrockModel:
    key = f"corral:hosts.{target.host}.models.{name}"
    known = entry.models.get(name)
    foundation = foundation_model(target.model_id) or (foundation_model(known.id) if known else None)
    if foundation is None:
        raise NotCallableError(
            f"which foundation model is behind {target.model_id} is not known: give {key}.id the id of an inference "
            "profile, and the host `costTags` if its costs are to be told apart"
        )
    regions = target.reaches or ()
    if not regions or not all(_REGION.fullmatch(region) for region in regions):
        said = f"only as {', '.join(regions)}" if regions else "not at all"
        raise NotCallableError(
            f"the regions in which {target.host} processes {name} are known {said}: list them under {key}.reaches, as "
            f"`aws bedrock get-inference-profile --inference-profile-identifier {target.model_id}` names them"
        )
    return BedrockModel(name, target.model_id, foundation, regions)
