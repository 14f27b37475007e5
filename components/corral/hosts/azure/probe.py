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

from corral.hosts.probing import Judgement, content, get, unexpected

_DEPLOYMENTS = b"/openai/deployments?api-version=2023-03-15-preview"


def probe(model_ids: Sequence[str], client: httpx.Client) -> list[Judgement]:
    """What is deployed under each id, in their order; of the client's base URL only the resource counts.

    Raises HostError.
    """
    states = _states(get(client, client.base_url.copy_with(raw_path=_DEPLOYMENTS)))
    return [_judgement(states.get(model_id), states) for model_id in model_ids]


def _judgement(state: str | None, states: Mapping[str, str]) -> Judgement:
    if state is None:
        there = ", ".join(sorted(states)) or "none"
        return "refused", f"no deployment of this name; there are: {there}"
    if state != "succeeded":
        return "refused", f"its deployment is not ready: {state}"
    return "allowed", "deployed"


def _states(response: httpx.Response) -> dict[str, str]:
    """Per deployment its state."""
    listed = content(response)
    deployments = cast("dict[str, Any]", listed).get("data") if isinstance(listed, dict) else None
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
