"""What the hosts of a stack need before `pulumi up`: accounts, keys, models, quotas, weights.  Only reads.

Policy.  Only what the stack uses is asked for, drained hosts included, as the stack makes them too.  A credential or a
library that is not here makes everything that takes it unknown, said once.  Hosts that are there already are for
`corral verify`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec

import httpx

from corral.config.cluster import EksCluster
from corral.config.hosts import AzureHost, BedrockHost, VllmHost
from corral.config.problems import missing_extra
from corral.config.secrets import HUGGING_FACE
from corral.config.stack import Stack
from corral.hosts.aws import Account
from corral.hosts.azure import preflight as azure
from corral.hosts.azure.management import Manager, sign_in
from corral.hosts.bedrock.access import BedrockModel
from corral.hosts.keys import elsewhere, missing_key, missing_keys
from corral.hosts.probing import HostError, Judgement, Precondition
from corral.hosts.vllm import weights
from corral.plan.plan import Plan, Target

_AWS = "AWS"
_ANY_REGION = "us-east-1"
"""For what is the same in all, where the stack names none."""


def preconditions(
    stack: Stack, plan: Plan, environment: Mapping[str, str], transport: httpx.BaseTransport | None = None
) -> Iterator[Precondition]:
    """All of the stack's hosts, and of the accounts that they and its cluster are in.

    `environment` may hold credentials for Azure and the token for Hugging Face, `HF_TOKEN`; those for AWS are found as
    boto3 finds them.  `transport` stands in for the network.
    """
    for host in missing_keys(plan, stack.keys):
        yield Precondition(host, "key", "refused", missing_key(host, plan))
    if on_aws(stack, plan):
        yield from _account(stack)
    for name in plan.hosts:
        host, targets = stack.hosts[name], plan.at(name)
        if isinstance(host, BedrockHost):
            yield from _bedrock(name, host, targets)
        elif isinstance(host, VllmHost) and _made(targets):
            yield from _weights(name, host, targets, stack, environment.get("HF_TOKEN"), transport)
        elif isinstance(host, AzureHost) and _made(targets):
            yield from _azure(name, host, targets, stack, environment, transport)


def on_aws(stack: Stack, plan: Plan) -> bool:
    """Whether anything of the stack is in an account of AWS."""
    return isinstance(stack.cluster, EksCluster) or any(target.kind == "bedrock" for _, target in plan.targets)


def _made(targets: Mapping[str, Target]) -> bool:
    return all(target.provisioned for target in targets.values())


def _account(stack: Stack) -> Iterator[Precondition]:
    if find_spec("boto3") is None or find_spec("pulumi_aws") is None:
        yield Precondition(_AWS, "libraries", "refused", missing_extra("aws", "what the stack has on AWS"))
        return
    yield Precondition.of(_AWS, "caller", _caller, stack.accounts.aws, stack.region or _ANY_REGION)


def _caller(pinned: str | None, region: str) -> Judgement:
    caller = Account(region).read("sts", "get_caller_identity")
    if pinned and caller["Account"] != pinned:
        return "refused", elsewhere(_AWS, "account", caller["Account"], pinned, "`aws sts get-caller-identity`")
    return "allowed", caller["Arn"]


def _bedrock(name: str, host: BedrockHost, targets: Mapping[str, Target]) -> Iterator[Precondition]:
    if find_spec("boto3") is None:
        return
    from corral.hosts.bedrock.probe import check_access  # takes boto3

    def judge(model: str, target: Target) -> Judgement:
        access = check_access(BedrockModel.of(model, target, accept_agreements=host.accept_agreements))
        return access.outcome, access.why

    for model, target in targets.items():
        yield Precondition.of(name, target.model_id, judge, model, target)


def _weights(
    name: str,
    host: VllmHost,
    models: Collection[str],
    stack: Stack,
    token: str | None,
    transport: httpx.BaseTransport | None,
) -> Iterator[Precondition]:
    account = Account(host.region or stack.region or _ANY_REGION)
    stated = HUGGING_FACE in {*stack.keys, *(stack.secret_store.keys if stack.secret_store else ())}

    def judge(path: str) -> Judgement:
        if path.startswith("s3://"):
            return weights.of_s3(path, account)
        return weights.of_hugging_face(path, token, stated=stated, transport=transport)

    for path in dict.fromkeys(host.model_weights[model] for model in models):
        yield Precondition.of(name, path, judge, path)


def _azure(
    name: str,
    host: AzureHost,
    targets: Mapping[str, Target],
    stack: Stack,
    environment: Mapping[str, str],
    transport: httpx.BaseTransport | None,
) -> Iterator[Precondition]:
    if find_spec("pulumi_azure_native") is None:
        yield Precondition(name, "libraries", "refused", missing_extra("azure", f"the host {name}"))
    try:
        manager = Manager(sign_in(environment, transport), transport)
    except HostError as error:
        yield Precondition(name, "subscription", *error.judgement)
        return
    yield from azure.preconditions(name, host, targets, stack, manager)
