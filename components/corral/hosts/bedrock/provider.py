"""The dynamic provider of model access: asks when a model is new, when what is asked changed, and on refresh.

Policy.  All deciding happens in `check`, which Pulumi calls in a preview as well; `create` and `update` only sign the
agreement that `check` said is to be signed.  A refusal is an output like any other verdict: a resource that `check`
refuses ends the whole update at once, and the other hosts are to be served.  A verdict of `allowed` is kept until a
refresh asks again; any other is asked again each time.  Without AWS credentials nothing is asked and the verdict is
unknown.  A refresh stores whatever it finds.  Deleting leaves an agreement in force: other stacks may live by it.

Pulumi keeps a pickle of the provider in its state: of a class that can be imported, that is its name and nothing else.
It refreshes and deletes by the name that it keeps, so that another one is a change, which the next `pulumi up` makes.
What calls AWS is loaded where it is called, in Pulumi's process for dynamic providers, and never with the component.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pulumi.dynamic import CheckResult, CreateResult, DiffResult, ReadResult, ResourceProvider
from pulumi.dynamic import UpdateResult as Updated
from pulumi.dynamic.dynamic import PROVIDER_KEY
from pydantic.alias_generators import to_camel

from corral.hosts.bedrock.access import BedrockModel

_MODEL = [to_camel(field) for field in BedrockModel.model_fields]
_ACCESS = ["outcome", "why", "sign"]
_REPLACES = ("region", "modelId")

Properties = dict[str, Any]


class ModelAccessProvider(ResourceProvider):
    """Holds nothing, so that its pickle does not either."""

    serialize_as_secret_always = False

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        model = _picked(news, _MODEL)
        if _olds.get("outcome") == "allowed" and _picked(_olds, _MODEL) == model:
            return CheckResult(model | _picked(_olds, _ACCESS), [])
        return CheckResult(model | _access(model), [])

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        changed = [key for key in (*_MODEL, *_ACCESS, PROVIDER_KEY) if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=[key for key in changed if key in _REPLACES])

    def create(self, props: Properties) -> CreateResult:
        _sign_if_needed(props)
        return CreateResult(f"{props['region']}/{props['modelId']}", dict(props))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> Updated:
        _sign_if_needed(_news)
        return Updated(dict(_news))

    def read(self, id_: str, props: Properties) -> ReadResult:
        model = _picked(props, _MODEL)
        state = model | _access(model)
        return ReadResult(id_, dict(state), dict(state))


def _access(model: Properties) -> Properties:
    from corral.hosts.bedrock.probe import check_access

    access = check_access(BedrockModel.model_validate(model))
    return {"outcome": access.outcome, "why": access.why, "sign": access.sign}


def _sign_if_needed(props: Properties) -> None:
    if props["sign"]:
        from corral.hosts.bedrock.probe import sign_agreement

        sign_agreement(props["region"], props["foundation"])


def _picked(props: Mapping[str, Any], keys: Iterable[str]) -> Properties:
    return {key: props[key] for key in keys if key in props}
