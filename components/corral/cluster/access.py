"""The wait until the API server of a new cluster lets the deployer in: asked as Pulumi's provider for it will ask.

An access entry takes effect seconds after it is made (EKS calls its API eventually consistent), and this machine need
not be among those who reach the API server.  Either would end the first `pulumi up` in the middle of a chart, with no
word of why.  Asked again when the stack changes who reaches it or who is let in; never in a preview.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any
from urllib.error import HTTPError, URLError

import pulumi
import pulumi.dynamic
import pulumi_aws as aws
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ResourceProvider, UpdateResult
from pulumi.dynamic.dynamic import PROVIDER_KEY

_PATIENCE_SECONDS = 180
"""The longest time in which an entry takes effect, and the name of a new API server is known everywhere."""

_PAUSE_SECONDS = 5
_TIMEOUT_SECONDS = 10
_COMMAND_TIMEOUT_SECONDS = 60

_PROBED_PATH = "/api/v1/namespaces/kube-system"
"""An object that is on every cluster, which only those who are let in may read."""

Properties = dict[str, Any]

_KEYS = ("name", "endpoint", "certificate", "command", "access", PROVIDER_KEY)
"""All but `preview`."""


def token(command: Sequence[str]) -> str:
    """What the kubeconfig's command answers.  Raises RuntimeError where there is no such command, or it fails."""
    way_out = "the AWS CLI, in version 2, has to be on this machine, with the credentials that Pulumi has"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"`{command[0]}` cannot be run ({type(error).__name__}): {way_out}") from None
    if done.returncode:
        reason = " ".join(done.stderr.split())[-300:]
        raise RuntimeError(f"`{' '.join(command[:3])}` fails ({reason}): {way_out}")
    return json.loads(done.stdout)["status"]["token"]


def status(endpoint: str, certificate: str, bearer: str) -> int | str:
    """The HTTP status of the API server's answer, or why there is none."""
    request = urllib.request.Request(f"{endpoint}{_PROBED_PATH}", headers={"Authorization": f"Bearer {bearer}"})  # noqa: S310
    try:
        context = ssl.create_default_context(cadata=certificate or None)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310
            return answer.status
    except HTTPError as error:
        return error.code
    except URLError as error:
        return str(error.reason)
    except OSError as error:
        return str(error)


def wait_until_let_in(
    name: str,
    ask: Callable[[], int | str],
    wait: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Returns once the API server answers the deployer.  Raises RuntimeError, with the way out, where it does not."""
    end = now() + _PATIENCE_SECONDS
    while (answer := ask()) != 200:
        if now() > end:
            raise RuntimeError(_refusal(name, answer))
        wait(_PAUSE_SECONDS)


def _refusal(name: str, answer: int | str) -> str:
    goes_on = "The cluster is there: the next `pulumi up` goes on from here."
    if isinstance(answer, str):
        return (
            f"the API server of the cluster {name} cannot be reached from this machine ({answer}): give its address "
            f"under corral:cluster.publicFrom, or run Pulumi where it is reached. {goes_on}"
        )
    if answer in (401, 403):
        return (
            f"the API server of the cluster {name} does not let this identity in ({answer}): `aws eks "
            f"list-access-entries --cluster-name {name}` has to list the one that `aws sts get-caller-identity` names. "
            f"{goes_on}"
        )
    return f"the API server of the cluster {name} answers {answer}. {goes_on}"


class LetInProvider(ResourceProvider):
    """Asks in `check`, whose refusals Pulumi prints without a traceback.  Holds nothing: its pickle is its name."""

    serialize_as_secret_always = False

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        if news["preview"] or not _changed(_olds, news):
            return CheckResult(news, [])

        def ask() -> int | str:
            return status(news["endpoint"], b64decode(news["certificate"]).decode(), token(news["command"]))

        try:
            wait_until_let_in(news["name"], ask)
        except RuntimeError as error:
            return CheckResult(news, [CheckFailure("endpoint", str(error))])
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        return DiffResult(changes=_changed(_olds, _news))

    def create(self, props: Properties) -> CreateResult:
        return CreateResult(props["name"], dict(props))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        return UpdateResult(dict(_news))


def _changed(olds: Properties, news: Properties) -> bool:
    return any(olds.get(key) != news.get(key) for key in _KEYS)


class LetIn(pulumi.dynamic.Resource, module="cluster", name="LetIn"):
    """That whoever runs Pulumi is let in by the API server of the cluster."""

    def __init__(
        self,
        name: str,
        cluster: aws.eks.Cluster,
        command: Sequence[pulumi.Input[str]],
        access: Sequence[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`command`: prints a token, as the kubeconfig has it; `access`: who reaches the server and who is let in."""
        inputs = {
            "name": cluster.name,
            "endpoint": cluster.endpoint,
            "certificate": cluster.certificate_authority.data,
            "command": [*command],
            "access": [*access],
            "preview": pulumi.runtime.is_dry_run(),
        }
        super().__init__(LetInProvider(), name, inputs, opts)
