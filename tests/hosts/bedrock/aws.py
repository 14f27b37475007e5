"""What AWS answers, in botocore's shapes, and clients that answer nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.stub import Stubber

from corral.hosts.bedrock.access import BedrockModel

MODEL = "meta.llama3-3-70b-instruct-v1:0"
PROFILE = f"us.{MODEL}"
REGIONS = ("us-east-1", "us-east-2", "us-west-2")
PER_MINUTE = "Cross-region model inference tokens per minute for Meta Llama 3.3 70B Instruct"


def bedrock_model(model_id: str = PROFILE, destinations: tuple[str, ...] = REGIONS, **more: Any) -> BedrockModel:
    """Llama 3.3 as this account calls it."""
    plain = {
        "name": "llama-3.3-70b",
        "host": "bedrock",
        "region": "us-east-1",
        "model_id": model_id,
        "foundation": MODEL,
        "destinations": [*destinations],
        "accept_agreements": False,
    }
    return BedrockModel.model_validate(plain | more)


def stubbed(service: str) -> Stubber:
    session = botocore.session.Session()
    client = session.create_client(
        service, region_name="us-east-1", aws_access_key_id="AKIA", aws_secret_access_key="secret"
    )
    return Stubber(client)


def profile(regions: tuple[str, ...] = REGIONS, model: str = MODEL) -> dict[str, Any]:
    return {
        "inferenceProfileName": "US Meta Llama 3.3 70B Instruct",
        "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{PROFILE}",
        "models": [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model}"} for region in regions],
        "inferenceProfileId": PROFILE,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def model(**changes: Any) -> dict[str, Any]:
    details = {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}",
        "modelId": MODEL,
        "modelName": "Llama 3.3 70B Instruct",
        "providerName": "Meta",
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE", "startOfLifeTime": datetime(2024, 12, 19, tzinfo=UTC)},
    }
    return {"modelDetails": details | changes}


def availability(agreement: str = "AVAILABLE", **changes: Any) -> dict[str, Any]:
    return {
        "modelId": MODEL,
        "agreementAvailability": {"status": agreement},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
    } | changes


def offers(*tokens: str) -> dict[str, Any]:
    terms = {
        "usageBasedPricingTerm": {"rateCard": [{"dimension": "input", "price": "1", "unit": "1K tokens"}]},
        "legalTerm": {"url": "https://example.com/terms"},
        "supportTerm": {"refundPolicyDescription": "none"},
    }
    return {"modelId": MODEL, "offers": [{"offerToken": token, "termDetails": terms} for token in tokens]}


def quota(name: str = PER_MINUTE, value: float = 600_000) -> dict[str, Any]:
    return {"ServiceCode": "bedrock", "QuotaCode": "L-0E7AA8B7", "QuotaName": name, "Value": value, "Adjustable": True}
