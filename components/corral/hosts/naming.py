"""Physical names and labels, within the limits of AWS and Kubernetes (tests/hosts/test_physical_names.py).

A name keeps the parts it is made of as far as a name can hold them.  Two lists of parts never get one name: where the
parts cannot be read back from it, it ends in six digits of their hash.  The digits tell apart only names that are
otherwise alike, so that six are enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

LABEL_LENGTH = 63
"""Characters of a DNS label (RFC 1123): names of namespaces and Services, and whatever becomes a label."""
ROLE_LENGTH = 64
"""Characters of an IAM role's name."""
CLUSTER_LENGTH = 100
"""Characters of an EKS cluster's name."""
GUARDRAIL_LENGTH = 50
"""Characters of a Bedrock guardrail's name."""
PROFILE_LENGTH = 64
"""Characters of a Bedrock inference profile's name, which may have no dot."""

RANDOM_END = len("-0123abc")
"""Characters that Pulumi adds to a logical name where it makes a physical one of it (pulumi-aws)."""

_DIGITS = 6
_HASHED = re.compile(rf"-[0-9a-f]{{{_DIGITS}}}$")
_PART = re.compile(r"[a-z0-9]+")


def physical(*parts: str, limit: int = LABEL_LENGTH) -> str:
    """The parts with `-` between them: lower-case letters, digits and `-`, starting with a letter.

    With the hash where a part has other characters, where no letter would be first, and where they are too long:
    `corral`, `vllm` → `corral-vllm`; `llama-3.3-70b` → `llama-3-3-70b-3026a7`.
    """
    name = "-".join(parts)
    plain = all(_PART.fullmatch(part) for part in parts) and name[0].isalpha() and not _HASHED.search(name)
    return name if plain and len(name) <= limit else hashed(*parts, limit=limit)


def hashed(*parts: str, limit: int = LABEL_LENGTH) -> str:
    """As `physical`, and never without the hash: for a name that stands beside others that were chosen by hand."""
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    kept = name if name[:1].isalpha() else f"x-{name}".rstrip("-")
    digits = sha256("\0".join(parts).encode()).hexdigest()[:_DIGITS]
    return f"{kept[: limit - _DIGITS - 1].rstrip('-')}-{digits}"


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """The stack's tags as labels: what a label cannot hold becomes `-`, and 63 characters are kept."""
    return {key: re.sub(r"[^A-Za-z0-9._-]", "-", value)[:LABEL_LENGTH].strip("-._") for key, value in tags.items()}


def pod_security(level: str) -> dict[str, str]:
    """The label of a namespace that holds its pods to a level of Kubernetes' pod security."""
    return {"pod-security.kubernetes.io/enforce": level}


def node_pool_names(host: str, instances: Sequence[str]) -> list[str]:
    """The names of the pools of a host's nodes, one for each instance type, which Karpenter writes on each node
    (`NODE_POOL_LABEL`).  The first is the host's, whatever its type."""
    return [physical("corral", host), *(physical("corral", host, instance) for instance in instances[1:])]


NODE_POOL_LABEL = "karpenter.sh/nodepool"
