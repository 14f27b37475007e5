"""The proof that a gateway serves: requests for each model through it, as a client makes them.

Policy.  No client can choose a host, so none is pinned: a model is asked until each of its sharing hosts has answered,
which the answers say, or as often as was allowed.  One request that fails is a refusal, and so is a host that has
answered none of so many that its share is ten of them: another one answers for it.  What could not be seen is unknown:
a fallback is asked only when sharing hosts fail.  A reason holds no body and no key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from corral.gateway.names import HOST_HEADER
from corral.hosts.probing import Judgement, Verdict
from corral.plan.plan import ModelPlan, Plan, Target

_PROMPT = {"messages": [{"role": "user", "content": "Answer with the word yes."}], "max_tokens": 16}

_ENOUGH = 10
"""The requests that a host's share has to be of those that were made, for its absence to be no chance."""


@dataclass(frozen=True)
class Access:
    """The gateway as a client knows it."""

    url: str
    keys: Mapping[str, str] = field(repr=False)
    """By tenant; a key or a token."""
    anybody: str | None = field(default=None, repr=False)
    """The key of one who may ask for every model, instead."""
    ca: str | None = None
    """What is trusted besides the authorities of the system, as PEM."""

    def key(self, model: str, plan: Plan) -> str | None:
        """That of a tenant who may ask for the model; None: there is none."""
        tenants = (tenant.name for tenant in plan.tenants_of(model))
        return self.anybody or next((self.keys[name] for name in tenants if name in self.keys), None)


def smoke(plan: Plan, access: Access, client: httpx.Client, most: int) -> Iterator[Verdict]:
    """For each model and host what became of requests, model by model; `most`: requests for one model."""
    for model in plan.models:
        key = access.key(model.name, plan)
        if key is None and plan.tenants:
            judgements: dict[str, Judgement] = {}
            others: Judgement = "unknown", "no key here of a tenant who may ask for it: name one, --key-variable"
        else:
            judgements, others = _judge(model, client, f"{access.url}/chat/completions", key, most)
        for target in model.targets:
            outcome, why = judgements.get(target.host) or (others if target.share else _silent(target))
            yield Verdict(model.name, target.host, target.model_id, outcome, why)


def _silent(target: Target) -> Judgement:
    if target.role == "drained":
        return "unknown", "it is drained: no request reaches it"
    return "unknown", "a fallback, asked only when sharing hosts fail: `corral verify` asks it for its models"


def _judge(
    model: ModelPlan, client: httpx.Client, url: str, key: str | None, most: int
) -> tuple[dict[str, Judgement], Judgement]:
    """The judgement on hosts that answered or failed, and that on the sharing hosts that did neither."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    wanted, judgements = {target.host for target in model.sharing}, dict[str, Judgement]()
    for number in range(1, most + 1):
        try:
            answer = client.post(url, headers=headers, json={"model": model.name, **_PROMPT})
        except httpx.HTTPError as error:
            return judgements, ("refused", f"no answer from {url} ({type(error).__name__}): is it in reach from here?")
        host, requests = answer.headers.get(HOST_HEADER), "request" if number == 1 else "requests"
        if answer.status_code != 200:
            failed: Judgement = "refused", f"HTTP {answer.status_code} to one of {number} {requests}"
            return (judgements | {host: failed}, _unseen(number)) if host else (judgements, failed)
        if not host:
            return {}, ("unknown", "answered, but this gateway does not say by which host")
        judgements.setdefault(host, ("allowed", "it answers"))
        if wanted <= judgements.keys():
            break
    absent: dict[str, Judgement] = {
        target.host: ("refused", f"it answered none of {most} requests, of which {target.share} in 100 are its share")
        for target in model.sharing
        if target.host not in judgements and target.share * most >= _ENOUGH * 100
    }
    return judgements | absent, _unseen(most)


def _unseen(number: int) -> Judgement:
    return "unknown", f"it was not drawn in {number}: allow for more, --requests"
