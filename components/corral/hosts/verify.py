"""Asks every host of a plan whether it still serves the ids that the plan sends it.

Policy.  A host is asked once for all its ids, all hosts at the same time, and only where there is a credential or none
is wanted: without one the verdict is unknown.  Drained targets are asked for as well.  A host whose URL is overridden
is a simulated one: it speaks OpenAI's protocol whatever the real host speaks, and takes a key where the real one takes
the cloud's credentials.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import httpx

from corral.catalog.load import load_catalog
from corral.config.problems import missing_extra
from corral.hosts.azure import probe as azure
from corral.hosts.openai import probe as openai
from corral.hosts.probing import HostError, Judgement, Verdict
from corral.plan.plan import Credential, Plan, Target

_PARALLEL_HOSTS = 16


def verify(
    plan: Plan,
    credentials: Mapping[str, str],
    *,
    urls: Mapping[str, str] = {},
    timeout: float = 10.0,
    transport: httpx.BaseTransport | None = None,
    token: Callable[[], str] | None = None,
) -> list[Verdict]:
    """A verdict per target, in the plan's order.

    `credentials` has a key per host name; AWS credentials come from the environment.  `urls` has a base URL per host
    name that is used instead of the host's own.  `timeout` is in seconds, for one attempt of the two.  `transport`
    stands in for the network; `token` gives that of hosts which take one.  Never raises for what a host does.
    """

    def judge(host: str) -> dict[str, Judgement]:
        """By the name of the model."""
        targets = plan.at(host)
        model_ids, target = [target.model_id for target in targets.values()], next(iter(targets.values()))
        if host in urls:
            target = replace(target, kind="openai", protocol="openai", url=urls[host], ca=None)
        try:
            if target.protocol == "bedrock-converse":
                return _probe_bedrock(targets, target.region, timeout)
            key = credentials.get(host)
            if target.credential.entra and host not in urls and token:
                key = token()
            with _client(target, key, timeout, transport, simulated=host in urls) as client:
                return dict(zip(targets, _probe(model_ids, target, client), strict=True))
        except HostError as error:
            return dict.fromkeys(targets, error.judgement)

    with ThreadPoolExecutor(_PARALLEL_HOSTS) as pool:
        by_host = dict(zip(plan.hosts, pool.map(judge, plan.hosts), strict=True))
    return [
        Verdict(model.name, target.host, target.model_id, *by_host[target.host][model.name])
        for model, target in plan.targets
    ]


def _client(
    target: Target, key: str | None, timeout: float, transport: httpx.BaseTransport | None, *, simulated: bool
) -> httpx.Client:
    """A client of the target's host, with its key.  Raises HostError where it is not to be asked."""
    if target.url is None:
        raise HostError("unknown", "its URL is not known before it is provisioned: ask again after that")
    headers, trusted = _headers(target.credential, key), _trusted(target.ca)
    client = httpx.Client(
        headers=headers, timeout=timeout, transport=transport, verify=trusted, trust_env=not simulated
    )
    try:
        client.base_url = target.url
    except httpx.InvalidURL:
        raise HostError("unknown", "its URL is none that can be called: correct it in the stack") from None
    return client


def _probe(model_ids: Sequence[str], target: Target, client: httpx.Client) -> list[Judgement]:
    """Asks the target's host as its kind is asked.  Raises HostError."""
    if target.protocol == "replicate":
        return openai.probe_replicate(model_ids, client)
    if target.kind == "azure":
        return azure.probe(model_ids, client)
    return openai.probe(model_ids, client, load_catalog().hosts[target.kind].model_list)


def _probe_bedrock(targets: Mapping[str, Target], region: str | None, timeout: float) -> dict[str, Judgement]:
    """Loads the SDK only here: most plans need none of it, and it is in an extra."""
    if find_spec("boto3") is None:
        raise HostError("unknown", missing_extra("aws", "asking Bedrock"))
    from corral.hosts.bedrock.probe import probe

    return probe(targets, region, timeout)


def signed_in() -> bool:
    """Whether this machine has AWS credentials and what it takes to use them."""
    if find_spec("boto3") is None:
        return False
    from corral.hosts import aws

    return aws.signed_in()


def _headers(credential: Credential, key: str | None) -> dict[str, str]:
    if not key:
        if credential.header is None:
            return {}
        raise HostError("unknown", f"there is no key for it: set {credential.source or 'one for this host'}")
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
