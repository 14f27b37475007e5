"""The labels of everything that is made on the cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """The stack's tags as labels: what a label cannot hold becomes `-`, and 63 characters are kept."""
    return {key: re.sub(r"[^A-Za-z0-9._-]", "-", value)[:63].strip("-._") for key, value in tags.items()}
