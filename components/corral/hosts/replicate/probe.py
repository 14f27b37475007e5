"""Asks Replicate for each model: `GET <base>/models/{owner}/{name}`, 404 where there is none.

https://replicate.com/docs/reference/http, models.get.  What it does not tell: whether predictions of the model are
refused for want of credit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import httpx

from corral.hosts.probing import HostError, Question, Verdict, content, get

_ID = re.compile(r"[\w.-]+/[\w.-]+")


def probe(questions: Sequence[Question], client: httpx.Client, url: str, headers: Mapping[str, str]) -> list[Verdict]:
    """A verdict per question, in their order.  Raises nothing: each model is a request of its own."""
    return [_verdict(question, client, url, headers) for question in questions]


def _verdict(question: Question, client: httpx.Client, url: str, headers: Mapping[str, str]) -> Verdict:
    if not _ID.fullmatch(question.target.model_id):
        return question.answered("unknown", "its id has not the form owner/name")
    try:
        response = get(client, f"{url.rstrip('/')}/models/{question.target.model_id}", headers)
        if response.status_code == 404:
            return question.answered("refused", "there is no such model (HTTP 404)")
        content(response)
    except HostError as error:
        return question.answered(error.outcome, error.why)
    return question.answered("allowed", "there is such a model")
