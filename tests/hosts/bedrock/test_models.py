from dataclasses import replace

import pytest

from corral.catalog.load import load_catalog
from corral.config.stack import Stack
from corral.hosts.bedrock.models import BedrockModel, NotCallableError, models
from corral.plan.build import build
from corral.plan.plan import Plan

CATALOG = load_catalog()
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
APPLICATION = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"


def plan(**host: object) -> Plan:
    stack = {
        "name": "test",
        "hosts": {"bedrock": {"kind": "bedrock", "region": "us-east-1", **host}, "groq": {"kind": "groq"}},
        "models": {
            "llama-3.3-70b": {"shares": {"bedrock": 0, "groq": 100}},
            "llama-3.1-8b": {"shares": {"groq": 100}, "fallback": ["bedrock"]},
        },
    }
    return build(Stack.model_validate(stack), CATALOG)


def called(plan: Plan) -> tuple[BedrockModel, ...]:
    return models(plan, "bedrock", CATALOG.hosts["bedrock"])


US = ("us-east-1", "us-east-2", "us-west-2")


def test_every_model_that_the_plan_has_there_is_called_drained_ones_and_fallbacks_too():
    assert called(plan()) == (
        BedrockModel("llama-3.1-8b", "us.meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0", US),
        BedrockModel("llama-3.3-70b", f"us.{LLAMA}", LLAMA, US),
    )


def test_an_application_profile_takes_the_catalogs_word_for_the_model_behind_it():
    said = plan(models={"llama-3.3-70b": {"id": APPLICATION, "reaches": ["us-east-1", "us-west-2"]}})
    assert called(said)[1] == BedrockModel("llama-3.3-70b", APPLICATION, LLAMA, ("us-east-1", "us-west-2"))


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (
            {"models": {"llama-3.3-70b": APPLICATION}},
            (
                "the regions in which bedrock processes llama-3.3-70b are known not at all: list them under "
                "corral:hosts.bedrock.models.llama-3.3-70b.reaches, as `aws bedrock get-inference-profile "
                f"--inference-profile-identifier {APPLICATION}` names them"
            ),
        ),
        (
            {"models": {"llama-3.3-70b": {"reaches": ["us"]}}},
            (
                "the regions in which bedrock processes llama-3.3-70b are known only as us: list them under "
                "corral:hosts.bedrock.models.llama-3.3-70b.reaches, as `aws bedrock get-inference-profile "
                f"--inference-profile-identifier us.{LLAMA}` names them"
            ),
        ),
    ],
)
def test_what_no_permission_can_be_written_for_is_said_with_the_way_out(host: dict[str, object], why: str):
    with pytest.raises(NotCallableError) as caught:
        called(plan(**host))
    assert str(caught.value) == why


def test_an_application_profile_of_a_model_that_nobody_knows_cannot_be_called():
    of_its_own = plan(models={"llama-3.3-70b": {"id": APPLICATION, "reaches": ["us-east-1"]}})
    renamed = replace(of_its_own, models=(replace(of_its_own.models[1], name="ours"),))
    with pytest.raises(NotCallableError) as caught:
        called(renamed)
    assert str(caught.value) == (
        f"which foundation model is behind {APPLICATION} is not known: give corral:hosts.bedrock.models.ours.id the id "
        "of an inference profile, and the host `costTags` if its costs are to be told apart"
    )
