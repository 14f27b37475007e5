"""What the id of a model at Bedrock tells by itself.

`meta.llama3-3-70b-instruct-v1:0` is a foundation model's; `us.` in front of it makes it that of a cross-region profile;
an application inference profile has an ARN, which does not tell its model.
"""

from __future__ import annotations

import re

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
