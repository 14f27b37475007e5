"""Asks an Azure AI Foundry resource for its deployments.

A request to Azure names a deployment, so the question is whether there is one of that name and whether it is ready.
`GET <base>/models` does not tell: it lists the several hundred models of Azure's catalogue, deployed or not.  The
deployments are listed by `GET https://<resource>/openai/deployments?api-version=2023-03-15-preview`, which takes the
same key, returns `{"data": [{"id", "model", "status"}, ...]}`, and was seen to answer for all of a resource's
deployments on 2026-08-11 (langflow-ai/langflow pull request 14509).  Azure documents it no longer; should it go, the
verdict is unknown.

What it does not tell: the day on which the model behind a deployment retires, and the quota.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx

from corral.hosts.probing import Question, Verdict, content, get, unexpected

DEPLOYMENTS = "/openai/deployments?api-version=2023-03-15-preview"


def probe(questions: Sequence[Question], client: httpx.Client, url: str, headers: Mapping[str, str]) -> list[Verdict]:
    """A verdict per question, in their order.  `url` is the base URL, of which only the resource counts.

    Raises HostError.
    """
    states = _states(get(client, _resource(url) + DEPLOYMENTS, headers))
    return [_verdict(question, states) for question in questions]


def _verdict(question: Question, states: Mapping[str, str]) -> Verdict:
    state = states.get(question.target.model_id)
    if state is None:
        there = ", ".join(sorted(states)) or "none"
        return question.answered("refused", f"no deployment of this name; there are: {there}")
    if state != "succeeded":
        return question.answered("refused", f"its deployment is not ready: {state}")
    return question.answered("allowed", "deployed")


def _resource(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _states(response: httpx.Response) -> dict[str, str]:
    """Per deployment its state."""
    answer = content(response)
    deployments = cast("dict[str, Any]", answer).get("data") if isinstance(answer, dict) else None
    if not isinstance(deployments, list):
        raise unexpected(response)
    states: dict[str, str] = {}
    for deployment in cast("list[Any]", deployments):
        match deployment:
            case {"id": str(name), "status": str(state)}:
                states[name] = state
            case _:
                raise unexpected(response)
    return states
