from __future__ import annotations

from corral.hosts.base import labels


def test_tags_are_labels_as_far_as_labels_hold_them():
    assert labels({"team": "Search & Ads", "long": "x" * 80}) == {"team": "Search---Ads", "long": "x" * 63}
