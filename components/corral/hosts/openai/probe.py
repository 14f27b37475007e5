"""Asks a host for OpenAI's list of models: `GET <base>/models` → `{"data": [{"id": ...}, ...]}`.

An id that is listed is allowed, one that is not is refused.  Together lists without the `data` around it.  What the
list does not tell: quotas, and whether a model that is listed answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, cast

import httpx

from corral.hosts.probing import Question, Verdict, content, get, unexpected


def probe(
    questions: Sequence[Question],
    client: httpx.Client,
    url: str,
    headers: Mapping[str, str],
    model_list: str = "/models",
) -> list[Verdict]:
    """A verdict per question, in their order.  `url` is the base URL, `model_list` what stands after it.

    Raises HostError.
    """
    ids = _ids(get(client, url.rstrip("/") + model_list, headers))
    return [_verdict(question, ids) for question in questions]


def _verdict(question: Question, ids: Sequence[str]) -> Verdict:
    if question.target.model_id in ids:
        return question.answered("allowed", "in its list of models")
    nearest = get_close_matches(question.target.model_id, ids, n=1)
    way_out = f"; the nearest is {nearest[0]}" if nearest else ""
    return question.answered("refused", f"not in its list of models ({len(ids)} there){way_out}")


def _ids(response: httpx.Response) -> list[str]:
    models = content(response)
    if isinstance(models, dict):
        models = cast("dict[str, Any]", models).get("data")
    if not isinstance(models, list):
        raise unexpected(response)
    ids: list[str] = []
    for model in cast("list[Any]", models):
        if not (isinstance(model, dict) and isinstance(id_ := cast("dict[str, Any]", model).get("id"), str)):
            raise unexpected(response)
        ids.append(id_)
    return ids
