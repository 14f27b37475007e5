import pytest

from corral.hosts.bedrock.models import foundation_model, is_profile, partition

LLAMA = "meta.llama3-3-70b-instruct-v1:0"
HERE = "arn:aws:bedrock:us-east-1:123456789012"


@pytest.mark.parametrize(
    ("model_id", "want"),
    [
        (LLAMA, (False, LLAMA)),
        (f"us.{LLAMA}", (True, LLAMA)),
        (f"us-gov.{LLAMA}", (True, LLAMA)),
        (f"{HERE}:inference-profile/us.{LLAMA}", (True, LLAMA)),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{LLAMA}", (False, LLAMA)),
        (f"{HERE}:application-inference-profile/abc123def456", (True, None)),
        (f"{HERE}:provisioned-model/abc123def456", (False, None)),
    ],
)
def test_an_id_tells_whether_it_is_a_profile_and_which_model_is_behind_it(model_id: str, want: tuple[bool, str | None]):
    assert (is_profile(model_id), foundation_model(model_id)) == want


@pytest.mark.parametrize(
    ("region", "want"),
    [
        ("us-east-1", "aws"),
        ("eu-central-1", "aws"),
        ("us-gov-west-1", "aws-us-gov"),
        ("cn-north-1", "aws-cn"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_a_region_belongs_to_a_partition(region: str, want: str):
    assert partition(region) == want
