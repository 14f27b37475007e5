from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from corral.hosts.bedrock import probe as bedrock
from corral.hosts.probing import HostError, Judgement
from corral.plan.plan import Target
from tests.hosts.conftest import TARGET

MODEL = "meta.llama3-3-70b-instruct-v1:0"
PROFILE = f"us.{MODEL}"
PAST = datetime(2026, 7, 7, tzinfo=UTC)
FUTURE = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=40)


@pytest.fixture
def aws() -> Iterator[Stubber]:
    session = botocore.session.Session()
    client = session.create_client(
        "bedrock", region_name="us-east-1", aws_access_key_id="AKIA", aws_secret_access_key="secret"
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def _model(model_id: str = MODEL, **changes: Any) -> dict[str, Any]:
    details = {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{model_id}",
        "modelId": model_id,
        "modelName": "Llama 3.3 70B Instruct",
        "providerName": "Meta",
        "inputModalities": ["TEXT"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE", "startOfLifeTime": datetime(2024, 12, 19, tzinfo=UTC)},
    }
    return {"modelDetails": details | changes}


def _profile(model_id: str = MODEL, profile: str = PROFILE) -> dict[str, Any]:
    return {
        "inferenceProfileName": "US Meta Llama 3.3 70B Instruct",
        "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{profile}",
        "models": [
            {"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model_id}"}
            for region in ("us-east-1", "us-east-2", "us-west-2")
        ],
        "inferenceProfileId": profile,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def _says(aws: Stubber, operation: str, id_: str, answer: dict[str, Any] | str) -> None:
    """AWS answers this operation for this id so, or with an error of this code."""
    wanted = "inferenceProfileIdentifier" if operation == "get_inference_profile" else "modelIdentifier"
    if isinstance(answer, str):
        aws.add_client_error(operation, answer, "AKIA", 400, expected_params={wanted: id_})
    else:
        aws.add_response(operation, answer, {wanted: id_})


BEDROCK: dict[str, Any] = {
    "host": "bedrock",
    "kind": "bedrock",
    "protocol": "bedrock-converse",
    "region": "us-east-1",
}


def _target(model_id: str, **changes: Any) -> Target:
    fields: dict[str, Any] = TARGET | BEDROCK | {"model_id": model_id} | changes
    return Target(**fields)


def _probe(aws: Stubber, *model_ids: str, **changes: Any) -> list[Judgement]:
    def stubbed(service: str, region: str, timeout: float) -> Any:
        assert (service, region, timeout) == ("bedrock", "us-east-1", 3.0)
        return aws.client

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bedrock, "client", stubbed)
        targets = {f"model {number}": _target(model_id, **changes) for number, model_id in enumerate(model_ids)}
        return [*bedrock.probe(targets, "us-east-1", 3.0).values()]


LEGACY = {"status": "LEGACY", "legacyTime": PAST}


@pytest.mark.parametrize(
    ("lifecycle", "outcome", "why"),
    [
        ({"status": "ACTIVE"}, "allowed", "active"),
        ({"status": "ACTIVE", "endOfLifeTime": FUTURE}, "allowed", "active"),
        (LEGACY | {"endOfLifeTime": FUTURE}, "allowed", f"legacy: retires on {FUTURE.date()}"),
        (LEGACY, "allowed", "legacy: retires on a day not yet named"),
        (LEGACY | {"endOfLifeTime": PAST}, "refused", f"{MODEL} retired on 2026-07-07: use another model"),
    ],
    ids=str,
)
def test_the_lifecycle_of_the_model_behind_a_profile_decides(
    aws: Stubber, lifecycle: dict[str, Any], outcome: str, why: str
):
    _says(aws, "get_inference_profile", PROFILE, _profile())
    _says(aws, "get_foundation_model", MODEL, _model(modelLifecycle=lifecycle, inferenceTypesSupported=[]))
    assert _probe(aws, PROFILE) == [(outcome, why)]


def test_a_plain_id_is_asked_for_without_a_profile(aws: Stubber):
    _says(aws, "get_foundation_model", MODEL, _model())
    assert _probe(aws, MODEL) == [("allowed", "active")]


def test_a_plain_id_that_needs_a_profile_is_refused(aws: Stubber):
    _says(aws, "get_foundation_model", MODEL, _model(inferenceTypesSupported=["PROVISIONED"]))
    assert _probe(aws, MODEL) == [
        ("refused", f"us-east-1 takes no request by {MODEL}: use the id of an inference profile")
    ]


def test_an_application_profile_is_asked_for_by_its_arn(aws: Stubber):
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"
    _says(aws, "get_inference_profile", arn, _profile())
    _says(aws, "get_foundation_model", MODEL, _model())
    assert _probe(aws, arn) == [("allowed", "active")]


@pytest.mark.parametrize(
    ("code", "outcome", "why"),
    [
        ("ResourceNotFoundException", "refused", "us-east-1 has no {absent}"),
        ("ValidationException", "refused", "us-east-1 has no {absent}"),
        ("AccessDeniedException", "unknown", "these AWS credentials may not ask: allow bedrock:{action}"),
        (
            "UnrecognizedClientException",
            "refused",
            "it refuses the AWS credentials (UnrecognizedClientException): sign in again",
        ),
        ("ExpiredTokenException", "refused", "it refuses the AWS credentials (ExpiredTokenException): sign in again"),
        ("ThrottlingException", "unknown", "it answers ThrottlingException: try again later"),
        ("InternalServerException", "unknown", "it answers InternalServerException: try again later"),
    ],
)
@pytest.mark.parametrize(
    ("operation", "id_", "absent"),
    [
        ("get_inference_profile", PROFILE, f"inference profile {PROFILE}"),
        ("get_foundation_model", MODEL, f"model {MODEL}: choose another region or model"),
    ],
)
def test_an_error_is_a_verdict(aws: Stubber, operation: str, id_: str, absent: str, code: str, outcome: str, why: str):
    _says(aws, operation, id_, code)
    action = operation.title().replace("_", "")
    assert _probe(aws, id_) == [(outcome, why.format(absent=absent, action=action))]


def test_a_model_of_which_only_the_profile_is_known_is_unknown(aws: Stubber):
    _says(aws, "get_inference_profile", PROFILE, _profile())
    _says(aws, "get_foundation_model", MODEL, "ResourceNotFoundException")
    assert _probe(aws, PROFILE) == [
        ("unknown", f"us-east-1 knows nothing of {MODEL}, which the profile calls elsewhere")
    ]


def test_all_models_and_regions_of_a_profile_are_held_against_the_plan(aws: Stubber):
    other = "meta.llama4-scout-17b-instruct-v1:0"
    behind = [*_profile()["models"], {"modelArn": f"arn:aws:bedrock:us-west-1::foundation-model/{other}"}]
    _says(aws, "get_inference_profile", PROFILE, _profile() | {"models": behind})
    _says(aws, "get_foundation_model", MODEL, _model())
    regions = "us-east-1, us-east-2, us-west-1, us-west-2"
    assert _probe(aws, PROFILE, base_model=MODEL, reaches=("us-east-1", "us-east-2", "us-west-2")) == [
        (
            "refused",
            (
                "its profile sends requests to us-west-1 too, which the plan does not know of: list all of "
                f"{regions} under corral:hosts.bedrock.models.model 0.reaches; "
                f"behind {PROFILE} is {MODEL}, {other}, not {MODEL}: correct the id"
            ),
        )
    ]


def test_a_place_in_the_plan_stands_for_whatever_regions_a_profile_has(aws: Stubber):
    _says(aws, "get_inference_profile", PROFILE, _profile())
    _says(aws, "get_foundation_model", MODEL, _model())
    assert _probe(aws, PROFILE, base_model=MODEL, reaches=("us",)) == [("allowed", "active")]


def test_an_error_for_one_id_leaves_the_verdict_on_another(aws: Stubber):
    gone = "us.meta.llama3-2-1b-instruct-v1:0"
    _says(aws, "get_inference_profile", gone, "ResourceNotFoundException")
    _says(aws, "get_inference_profile", PROFILE, "ThrottlingException")
    assert _probe(aws, gone, PROFILE) == [
        ("refused", f"us-east-1 has no inference profile {gone}"),
        ("unknown", "it answers ThrottlingException: try again later"),
    ]


def _unreachable(_service: str, _region: str, _timeout: float) -> None:
    raise EndpointConnectionError(endpoint_url="https://bedrock.us-east-1.amazonaws.com")


def _nobody(_service: str, _region: str, _timeout: float) -> None:
    return None


@pytest.mark.parametrize(
    ("region", "client", "why"),
    [
        (None, _nobody, "no AWS region is named: set the host's `region`, or `aws:region`"),
        ("us-east-1", _nobody, "there are no AWS credentials: sign in, or set AWS_BEARER_TOKEN_BEDROCK"),
        ("us-east-1", _unreachable, "it cannot be asked (EndpointConnectionError)"),
    ],
)
def test_what_cannot_be_asked_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
    region: str | None,
    client: Callable[[str, str, float], None],
    why: str,
):
    monkeypatch.setattr(bedrock, "client", client)
    with pytest.raises(HostError) as caught:
        bedrock.probe({"m": _target(PROFILE)}, region, 3.0)
    assert caught.value.judgement == ("unknown", why)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> pytest.MonkeyPatch:
    """An environment in which AWS finds nothing, not even a metadata service."""
    home = tmp_path_factory.mktemp("home")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.mark.usefixtures("no_credentials")
def test_without_credentials_there_is_no_client():
    assert bedrock.client("bedrock", "us-east-1", 3.0) is None


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"},
        {"AWS_BEARER_TOKEN_BEDROCK": "token"},
    ],
    ids=str,
)
def test_with_credentials_there_is_a_client_that_does_not_wait_for_ever(
    no_credentials: pytest.MonkeyPatch, variables: dict[str, str]
):
    for name, value in variables.items():
        no_credentials.setenv(name, value)
    client: Any = bedrock.client("bedrock", "us-west-2", 3.0)
    config = client.meta.config
    assert (config.region_name, config.connect_timeout, config.read_timeout, config.retries) == (
        "us-west-2",
        3.0,
        3.0,
        {"mode": "standard", "total_max_attempts": 2},
    )
