"""Which model is behind a host's id."""

from __future__ import annotations

import pytest

from corral.plan.targets import foundation_model

LLAMA = "meta.llama3-3-70b-instruct-v1:0"
HERE = "arn:aws:bedrock:us-east-1:123456789012"


@pytest.mark.parametrize(
    ("model_id", "want"),
    [
        (LLAMA, LLAMA),
        (f"us.{LLAMA}", LLAMA),
        (f"us-gov.{LLAMA}", LLAMA),
        (f"{HERE}:inference-profile/us.{LLAMA}", LLAMA),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{LLAMA}", LLAMA),
        (f"{HERE}:application-inference-profile/abc123def456", None),
        (f"{HERE}:provisioned-model/abc123def456", None),
    ],
)
def test_an_id_at_bedrock_tells_the_foundation_model_behind_it_where_it_can(model_id: str, want: str | None):
    assert foundation_model(model_id) == want
