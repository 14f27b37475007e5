"""For tests that need the custom resource definitions."""

from __future__ import annotations

import pytest

from corral.testing.schemas import definitions

needed = pytest.mark.skipif(
    not definitions(), reason="no custom resource definitions: name their folder in CORRAL_CRDS"
)
