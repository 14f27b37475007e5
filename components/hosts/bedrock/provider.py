"""The dynamic provider of model access: asks when a model is new, when what is asked changed, and on refresh.

Policy.  All deciding happens in `check`, which Pulumi calls in a preview as well and whose refusals it prints without a
traceback; `create` and `update` only sign the agreement that `check` said is to be signed.  A verdict of `allowed` is
kept until a refresh asks again; any other is asked again each time.  Without AWS credentials nothing is asked and the
verdict is unknown.  A refresh stores whatever it finds, and the next `up` is refused if that is a refusal.  Deleting
leaves an agreement in force: other stacks may live by it.

Pulumi keeps a pickle of the provider in its state: of a class that can be imported, that is its name and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, ResourceProvider
from pulumi.dynamic import UpdateResult as Updated

from components.hosts.bedrock.access import Access, Asked, Unanswered, access
from components.hosts.bedrock.ask import ask, list_quotas, sign
from components.hosts.bedrock.clients import client

TIMEOUT = 5.0
"""Seconds for one of the two attempts of a question."""

_ASKED = ("name", "host", "region", "modelId", "foundation", "destinations", "acceptAgreements")
_FOUND = ("outcome", "why", "sign")
_REPLACES = ("region", "modelId")

Properties = dict[str, Any]


class ModelAccessProvider(ResourceProvider):
    """Holds nothing, so that its pickle does not either."""

    serialize_as_secret_always = False

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        asked = _picked(news, _ASKED)
        if _olds.get("outcome") == "allowed" and _picked(_olds, _ASKED) == asked:
            return CheckResult(asked | _picked(_olds, _FOUND), [])
        found = find(_asked(news))
        failures = [CheckFailure("modelId", f"{news['name']}: {found.why}")] if found.outcome == "refused" else []
        return CheckResult(asked | _found(found), failures)

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        changed = [key for key in (*_ASKED, *_FOUND) if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=[key for key in changed if key in _REPLACES])

    def create(self, props: Properties) -> CreateResult:
        _sign_if_needed(props)
        return CreateResult(f"{props['region']}/{props['modelId']}", dict(props))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> Updated:
        _sign_if_needed(_news)
        return Updated(dict(_news))

    def read(self, id_: str, props: Properties) -> ReadResult:
        now = _picked(props, _ASKED) | _found(find(_asked(props)))
        return ReadResult(id_, dict(now), dict(now))


def find(asked: Asked) -> Access:
    """Asks AWS, with the credentials of the environment.  Raises nothing for what AWS or the network do."""
    from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs]

    try:
        bedrock = client("bedrock", asked.region, TIMEOUT)
        if bedrock is None:
            return Access("unknown", "there are no AWS credentials to ask with: sign in", sign=False)
        return access(asked, ask(asked, bedrock, _quotas(asked.region)), datetime.now(UTC))
    except BotoCoreError as error:
        return Access("unknown", f"Bedrock cannot be asked ({type(error).__name__}): try again later", sign=False)


@lru_cache
def _quotas(region: str) -> Any:
    """A region has a thousand quotas, which all its models share; the process lives for one run of Pulumi."""
    quotas = client("service-quotas", region, TIMEOUT)
    return list_quotas(quotas) if quotas else Unanswered("AccessDeniedException")


def _sign_if_needed(props: Properties) -> None:
    if props["sign"]:
        sign(client("bedrock", props["region"], TIMEOUT), props["foundation"])


def _asked(props: Properties) -> Asked:
    return Asked(
        name=props["name"],
        host=props["host"],
        region=props["region"],
        model_id=props["modelId"],
        foundation=props["foundation"],
        destinations=tuple(props["destinations"]),
        accept_agreements=props["acceptAgreements"],
    )


def _found(found: Access) -> Properties:
    return {"outcome": found.outcome, "why": found.why, "sign": found.sign}


def _picked(props: Mapping[str, Any], keys: tuple[str, ...]) -> Properties:
    return {key: props[key] for key in keys if key in props}
