"""Asks every host of a plan whether it still serves the ids that the plan sends it.

Policy.  A host is asked once for all its ids, all hosts at the same time, and only where there is a credential or none
is wanted: without one the verdict is unknown.  Drained targets are asked for as well.  A host whose URL is overridden
is a simulated one: it speaks OpenAI's protocol whatever the real host speaks, and takes a key where the real one takes
the cloud's credentials.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import httpx

from corral.catalog.load import load_catalog
from corral.config.problems import missing_extra
from corral.hosts.azure import probe as azure
from corral.hosts.openai import probe as openai
from corral.hosts.probing import HostError, Question, Verdict
from corral.hosts.replicate import probe as replicate
from corral.plan.plan import Credential, Plan

_AT_ONCE = 16


def verify(
    plan: Plan,
    credentials: Mapping[str, str],
    *,
    urls: Mapping[str, str] = {},
    timeout: float = 10.0,
    transport: httpx.BaseTransport | None = None,
) -> list[Verdict]:
    """A verdict per target, in the plan's order.

    `credentials` has a key per host name; AWS credentials come from the environment.  `urls` has a base URL per host
    name that is used instead of the host's own.  `timeout` is in seconds, for one attempt of the two.  `transport`
    stands in for the network.  Never raises for what a host does.
    """
    questions: dict[str, list[Question]] = {}
    for model, target in plan.targets:
        questions.setdefault(target.host, []).append(Question(model.name, target))

    def answers(host: str) -> list[Verdict]:
        return _ask(questions[host], credentials.get(host), urls.get(host), timeout, transport)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        verdicts = {(one.model, one.host): one for found in pool.map(answers, questions) for one in found}
    return [verdicts[model.name, target.host] for model, target in plan.targets]


def _ask(
    questions: Sequence[Question],
    key: str | None,
    simulated: str | None,
    timeout: float,
    transport: httpx.BaseTransport | None,
) -> list[Verdict]:
    try:
        target = questions[0].target
        if simulated is not None:
            with httpx.Client(timeout=timeout, transport=transport, trust_env=False) as client:
                return openai.probe(questions, client, simulated, _headers(target.credential, key))
        if target.protocol == "bedrock-converse":
            return _bedrock(questions, timeout)
        if target.url is None:
            raise HostError("unknown", "its URL is not known before it is provisioned: ask again after that")
        headers = _headers(target.credential, key)
        with httpx.Client(timeout=timeout, transport=transport, verify=_trusted(target.ca)) as client:
            if target.protocol == "replicate":
                return replicate.probe(questions, client, target.url, headers)
            if target.kind == "azure":
                return azure.probe(questions, client, target.url, headers)
            model_list = load_catalog().hosts[target.kind].model_list
            return openai.probe(questions, client, target.url, headers, model_list)
    except HostError as error:
        return [question.answered(error.outcome, error.why) for question in questions]


def _bedrock(questions: Sequence[Question], timeout: float) -> list[Verdict]:
    """Loads the SDK only here: most plans need none of it, and it is in an extra."""
    if find_spec("boto3") is None:
        raise HostError("unknown", missing_extra("aws", "asking Bedrock"))
    from corral.hosts.bedrock.probe import probe

    return probe(questions, timeout)


def signed_in() -> bool:
    """Whether this machine has AWS credentials and what it takes to use them."""
    if find_spec("boto3") is None:
        return False
    from corral.hosts.bedrock import probe

    return probe.signed_in()


def _headers(credential: Credential, key: str | None) -> dict[str, str]:
    if not key:
        if credential.header is None:
            return {}
        raise HostError("unknown", f"there is no key for it: set {credential.variable or 'one for this host'}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise HostError(
            "unknown", "its key holds a character that no key can have: is it whole, on one line, without blanks?"
        )
    if credential.header == "api-key":
        return {"api-key": key}
    return {"authorization": f"Bearer {key}"} if credential.header or credential.ambient else {}


def _trusted(ca: str | None) -> ssl.SSLContext | bool:
    """What httpx is to check certificates against; True: what it trusts by itself."""
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError:
        raise HostError("unknown", f"its CA file {ca} cannot be read as PEM certificates") from None
