"""Physical names within the limits of AWS and Kubernetes, and the labels of everything that is made.

A name keeps what it can of the words it is made of.  Where that is not all of them it ends in six digits of their hash,
so that two things never get one name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

LABEL = 63
"""Characters of a DNS label: names of namespaces and Services (RFC 1035)."""
ROLE = 64
"""Characters of an IAM role's name."""
CLUSTER = 100
"""Characters of an EKS cluster's name."""


def physical(*words: str, limit: int = LABEL) -> str:
    """The words with `-` between them: lower-case letters, digits and `-`, starting with a letter."""
    said = "-".join(words)
    name = re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")
    if name == said and name[0].isalpha() and len(name) <= limit:
        return name
    kept = name if name[:1].isalpha() else f"x-{name}".rstrip("-")
    return f"{kept[: limit - 7].rstrip('-')}-{sha256(said.encode()).hexdigest()[:6]}"


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """The stack's tags as labels: what a label cannot hold becomes `-`, and 63 characters are kept."""
    return {key: re.sub(r"[^A-Za-z0-9._-]", "-", value)[:63].strip("-._") for key, value in tags.items()}
