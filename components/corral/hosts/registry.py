"""Which component makes which kind of host, in which accounts.  The one place that knows all kinds: a host more in a
stack is none here.

Any other kind is a hosted API, and so is an Azure account or a vLLM that is at a URL already.  The SDKs of a cloud are
loaded for its hosts only.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from corral.config.stack import Stack
from corral.hosts.adapted.component import Adapted, AdaptedArgs
from corral.hosts.base import HostComponent, Site, require
from corral.hosts.failures import HostFailures
from corral.hosts.keys import elsewhere
from corral.hosts.openai.component import OpenAIHost, OpenAIHostArgs
from corral.hosts.preflight import on_aws
from corral.hosts.vllm.component import Vllm, VllmArgs
from corral.plan.plan import Plan


def make_hosts(site: Site, failures: HostFailures) -> Mapping[str, HostComponent]:
    """Every host that a model names, by name; what fails of one is reported to `failures`.

    Raises `pulumi.RunError` where the stack says too little of one, or the extra that it needs is not installed.
    """
    return {name: _adapted(name, site, failures.options(name)) for name in site.plan.hosts}


def hold_to_accounts(stack: Stack, plan: Plan) -> None:
    """Holds the program to the accounts that the stack names: nothing is made in others, and roles are bounded.

    Raises `pulumi.RunError` where the credentials are those of another account.
    """
    accounts = stack.accounts
    if accounts.aws and on_aws(stack, plan):
        require("aws", "corral:accounts.aws")
        import pulumi_aws as aws

        account = aws.get_caller_identity().account_id
        if account != accounts.aws:
            why = elsewhere("AWS", "account", account, accounts.aws, "`aws sts get-caller-identity`")
            raise pulumi.RunError(f"{why}. Nothing was made")
    if accounts.azure and any(target.kind == "azure" and target.provisioned for _, target in plan.targets):
        require("azure", "corral:accounts.azure")
        from pulumi_azure_native import authorization

        subscription = authorization.get_client_config().subscription_id
        if subscription != accounts.azure:
            shows = "`az account show`, or ARM_SUBSCRIPTION_ID,"
            why = elsewhere("Azure", "subscription", subscription, accounts.azure, shows)
            raise pulumi.RunError(f"{why}. Nothing was made")
    if accounts.permissions_boundary:
        pulumi.runtime.register_stack_transformation(_bounding(accounts.permissions_boundary))


def _bounding(policy: str) -> pulumi.ResourceTransformation:
    def bound(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != "aws:iam/role:Role":
            return None
        return pulumi.ResourceTransformationResult({**args.props, "permissions_boundary": policy}, args.opts)

    return bound


def _adapted(name: str, site: Site, opts: pulumi.ResourceOptions) -> HostComponent:
    """The host, and the adapter before it where it is called through one."""
    host = _make(name, site, opts)
    if any(target.adapted for target in site.plan.at(name).values()):
        return Adapted(f"{name}-adapter", AdaptedArgs.of(name, host, site), opts)
    return host


def _make(name: str, site: Site, opts: pulumi.ResourceOptions) -> HostComponent:
    kind = site.stack.hosts[name].kind
    if kind == "bedrock":
        require("aws", f"the host {name}")
        from corral.hosts.bedrock.component import Bedrock, BedrockArgs

        return Bedrock(name, BedrockArgs.of(name, site), opts)
    if not all(target.provisioned for target in site.plan.at(name).values()):
        return OpenAIHost(name, OpenAIHostArgs.of(name, site), opts)
    if kind == "azure":
        require("azure", f"the host {name}")
        from corral.hosts.azure.component import Azure, AzureArgs

        return Azure(name, AzureArgs.of(name, site), opts)
    return Vllm(name, VllmArgs.of(name, site), opts)
