"""Asks a hosted API for its models: by OpenAI's list of them, or, at Replicate, which has none, for each.

`GET <base>/models` → `{"data": [{"id": ...}, ...]}`.  An id that is listed is allowed, one that is not is refused.
Together lists without the `data` around it.  What the list does not tell: quotas, and whether a model that is listed
answers.

`GET <base>/models/{owner}/{name}` of Replicate, 404 where there is none (https://replicate.com/docs/reference/http,
models.get).  What it does not tell: whether predictions of the model are refused for want of credit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, cast

import httpx

from corral.hosts.probing import HostError, Judgement, content, get, unexpected

_REPLICATE_ID = re.compile(r"[\w.-]+/[\w.-]+")


def probe(model_ids: Sequence[str], client: httpx.Client, path: str = "/models") -> list[Judgement]:
    """What the list at this path below the base URL says of each id, in their order.  Raises HostError."""
    listed = _ids(get(client, path))
    return [_judgement(model_id, listed) for model_id in model_ids]


def probe_replicate(model_ids: Sequence[str], client: httpx.Client) -> list[Judgement]:
    """What Replicate says of each id, in their order.  Raises nothing: each model is a request of its own."""
    return [_judgement_of_replicate(model_id, client) for model_id in model_ids]


def _judgement(model_id: str, listed: Sequence[str]) -> Judgement:
    if model_id in listed:
        return "allowed", "in its list of models"
    nearest = get_close_matches(model_id, listed, n=1)
    way_out = f"; the nearest is {nearest[0]}" if nearest else ""
    return "refused", f"not in its list of models ({len(listed)} there){way_out}"


def _ids(response: httpx.Response) -> list[str]:
    models = content(response)
    if isinstance(models, dict):
        models = cast("dict[str, Any]", models).get("data")
    if not isinstance(models, list):
        raise unexpected(response)
    ids: list[str] = []
    for model in cast("list[Any]", models):
        match model:
            case {"id": str(id_)}:
                ids.append(id_)
            case _:
                raise unexpected(response)
    return ids


def _judgement_of_replicate(model_id: str, client: httpx.Client) -> Judgement:
    if not _REPLICATE_ID.fullmatch(model_id):
        return "unknown", "its id has not the form owner/name"
    try:
        response = get(client, f"/models/{model_id}")
        if response.status_code == 404:
            return "refused", "there is no such model (HTTP 404)"
        content(response)
    except HostError as error:
        return error.judgement
    return "allowed", "there is such a model"
