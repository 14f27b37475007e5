"""AWS Bedrock as a host: access to its models, and what stands around them in the account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import pulumi
import pulumi.dynamic
import pulumi_aws as aws

from corral.catalog.catalog import Catalog
from corral.config.hosts import BedrockHost, Guardrail, InvocationLogs
from corral.hosts.base import HostComponent, Vpc
from corral.hosts.bedrock.identity import (
    PublishedGuardrail,
    foundation_arn,
    invoke_policy,
    log_policy,
    log_trust,
    profile_arn,
)
from corral.hosts.bedrock.models import BedrockModel, NotCallableError, models
from corral.hosts.bedrock.provider import ModelAccessProvider
from corral.hosts.endpoint import AmbientCredential, Endpoint
from corral.plan.plan import Plan

_PROMPT_ATTACK = "PROMPT_ATTACK"
"""The one filter that looks at the prompt only: AWS demands NONE for its answer."""
_FILTERS = ("HATE", "INSULTS", "MISCONDUCT", _PROMPT_ATTACK, "SEXUAL", "VIOLENCE")


@dataclass(frozen=True)
class BedrockArgs:
    """What a stack says of a Bedrock host, as far as the component carries it out."""

    host: str
    """The host's name in the stack."""
    region: str
    models: tuple[BedrockModel, ...]
    accept_agreements: bool
    cost_tags: Mapping[str, str]
    """Empty: models are called without application inference profiles."""
    guardrail: Guardrail | None
    invocation_logs: InvocationLogs | None
    vpc: Vpc | None
    """None: Bedrock is called over the internet."""
    tags: Mapping[str, str]
    """On everything that can have tags."""


def bedrock_args(
    name: str, host: BedrockHost, plan: Plan, catalog: Catalog, vpc: Vpc | None, tags: Mapping[str, str]
) -> BedrockArgs:
    """The arguments for the host `name`, of a plan whose checks found no error.

    `vpc` is the cluster's; it is used where the stack asks for an interface endpoint.  Raises pulumi.RunError where
    the stack says too little.
    """
    targets = [*plan.at(name).values()]
    region = targets[0].region
    if region is None:
        raise pulumi.RunError(f"{name} has no region to call: set corral:hosts.{name}.region, or aws:region")
    if host.vpc_endpoint and (vpc is None or vpc.region != region):
        raise pulumi.RunError(
            f"corral:hosts.{name}.vpcEndpoint asks for an endpoint in the cluster's VPC, but the cluster has none in "
            f"{region}: remove it, or let the stack make the cluster there"
        )
    try:
        called = models(plan, name, catalog.hosts[host.kind])
    except NotCallableError as error:
        raise pulumi.RunError(str(error)) from None
    return BedrockArgs(
        host=name,
        region=region,
        models=called,
        accept_agreements=host.accept_agreements,
        cost_tags=host.cost_tags,
        guardrail=host.guardrail,
        invocation_logs=host.invocation_logs,
        vpc=vpc if host.vpc_endpoint else None,
        tags=tags,
    )


class ModelAccess(pulumi.dynamic.Resource, module="bedrock", name="ModelAccess"):
    """That this account may call one model from one region: asked when it is new and on refresh."""

    outcome: pulumi.Output[str]
    """`allowed`, or `unknown`: a model that is refused fails its stack."""
    why: pulumi.Output[str]

    def __init__(self, name: str, args: BedrockArgs, model: BedrockModel, opts: pulumi.ResourceOptions) -> None:
        properties = {
            "name": model.name,
            "host": args.host,
            "region": args.region,
            "modelId": model.model_id,
            "foundation": model.foundation,
            "destinations": list(model.destinations),
            "acceptAgreements": args.accept_agreements,
        }
        super().__init__(ModelAccessProvider(), name, {**properties, "outcome": None, "why": None}, opts)


class Bedrock(HostComponent):
    """Model access, and as the stack asks: application profiles, a guardrail, a log, an interface endpoint.

    Leaves to others: the identity that calls (it is to be given `invoke_policy`) and the routes.
    """

    endpoints: Mapping[str, Endpoint]
    """Per model."""
    """The IAM policy document, as JSON, that lets the gateway call these models and nothing else."""

    def __init__(self, name: str, args: BedrockArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:hosts:Bedrock", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        accesses = {model.name: ModelAccess(f"{name}-access-{model.name}", args, model, child) for model in args.models}
        for access in accesses.values():
            pulumi.Output.all(access.outcome, access.why).apply(lambda said: _tell_unknown(args.host, *said))
        profiles = {
            model.name: aws.bedrock.InferenceProfile(
                f"{name}-profile-{model.name}",
                description=f"{model.name} at {args.host}",
                model_source={"copy_from": account.apply(lambda account, model=model: _source(model, account, args))},
                region=args.region,
                tags={**args.cost_tags, **args.tags},
                opts=pulumi.ResourceOptions(parent=self, depends_on=[accesses[model.name]]),
            )
            for model in args.models
            if args.cost_tags
        }
        guardrail = _guardrail(name, args, args.guardrail, child) if args.guardrail else None
        if args.invocation_logs:
            _logs(name, args, args.invocation_logs, account, child)
        private = _vpc_endpoint(name, args, args.vpc, child) if args.vpc else None
        self.invoke_policy = pulumi.Output.all(
            account=account,
            profiles={model: profile.arn for model, profile in profiles.items()},
            guardrail={"arn": guardrail.guardrail_arn, "version": guardrail.version} if guardrail else None,
        ).apply(
            lambda known: json.dumps(
                invoke_policy(
                    known["account"],
                    args.region,
                    args.models,
                    known["profiles"],
                    PublishedGuardrail(**known["guardrail"]) if known["guardrail"] else None,
                )
            )
        )
        self.endpoints = {
            model.name: Endpoint(
                model=model.name,
                host=args.host,
                hostname=f"bedrock-runtime.{args.region}.amazonaws.com",
                port=443,
                tls=True,
                protocol="bedrock-converse",
                path="",
                model_id=profiles[model.name].arn if profiles else model.model_id,
                credential=AmbientCredential(args.region),
                ready=[
                    each
                    for each in (accesses[model.name], profiles.get(model.name), guardrail, private)
                    if each is not None
                ],
                body={"guardrailConfig": _named(guardrail)} if guardrail else {},
            )
            for model in args.models
        }
        self.register_outputs({"invokePolicy": self.invoke_policy})


def _tell_unknown(host: str, outcome: str, why: str) -> None:
    if outcome == "unknown":
        pulumi.log.warn(f"whether {host} may be called is unknown: {why}")


def _source(model: BedrockModel, account: str, args: BedrockArgs) -> str:
    """What an application profile is made of: the cross-region profile, else the foundation model."""
    return profile_arn(model, account, args.region) or foundation_arn(model, args.region)


def _guardrail(
    name: str, args: BedrockArgs, said: Guardrail, child: pulumi.ResourceOptions
) -> aws.bedrock.GuardrailVersion:
    """A guardrail and its version, which is published anew when the guardrail changes."""
    filters = [
        aws.bedrock.GuardrailContentPolicyConfigFiltersConfigArgs(
            type=each, input_strength=said.strength, output_strength="NONE" if each == _PROMPT_ATTACK else said.strength
        )
        for each in _FILTERS
    ]
    guardrail = aws.bedrock.Guardrail(
        f"{name}-guardrail",
        blocked_input_messaging=said.message,
        blocked_outputs_messaging=said.message,
        content_policy_config=aws.bedrock.GuardrailContentPolicyConfigArgs(filters_configs=filters),
        region=args.region,
        tags=args.tags,
        opts=child,
    )
    content = sha256(said.model_dump_json().encode()).hexdigest()[:12]
    return aws.bedrock.GuardrailVersion(
        f"{name}-guardrail-version",
        guardrail_arn=guardrail.guardrail_arn,
        description=f"{said.strength} {content}",
        region=args.region,
        opts=child,
    )


def _named(guardrail: aws.bedrock.GuardrailVersion) -> pulumi.Output[str]:
    """Converse's `guardrailConfig`."""
    return pulumi.Output.json_dumps(
        {"guardrailIdentifier": guardrail.guardrail_arn, "guardrailVersion": guardrail.version}
    )


def _logs(
    name: str,
    args: BedrockArgs,
    said: InvocationLogs,
    account: pulumi.Output[str],
    child: pulumi.ResourceOptions,
) -> None:
    group = aws.cloudwatch.LogGroup(
        f"{name}-invocations", retention_in_days=said.retention_days, region=args.region, tags=args.tags, opts=child
    )
    role = aws.iam.Role(
        f"{name}-invocations-writer",
        assume_role_policy=account.apply(lambda account: json.dumps(log_trust(account))),
        tags=args.tags,
        opts=child,
    )
    written = aws.iam.RolePolicy(
        f"{name}-invocations-write",
        role=role.name,
        policy=group.arn.apply(lambda arn: json.dumps(log_policy(arn))),
        opts=child,
    )
    aws.bedrockmodel.InvocationLoggingConfiguration(
        f"{name}-invocation-logging",
        logging_config={
            "cloudwatch_config": {"log_group_name": group.name, "role_arn": role.arn},
            "text_data_delivery_enabled": said.prompts,
            "image_data_delivery_enabled": said.prompts,
            "embedding_data_delivery_enabled": said.prompts,
            "video_data_delivery_enabled": said.prompts,
        },
        region=args.region,
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[written])),
    )


def _vpc_endpoint(name: str, args: BedrockArgs, vpc: Vpc, child: pulumi.ResourceOptions) -> aws.ec2.VpcEndpoint:
    """With private DNS: Bedrock's public name leads to it from within the VPC."""
    group = aws.ec2.SecurityGroup(
        f"{name}-endpoint-clients",
        description=f"The gateway calls {args.host} through its interface endpoint",
        vpc_id=vpc.id,
        ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "security_groups": [vpc.pods]}],
        region=args.region,
        tags=args.tags,
        opts=child,
    )
    return aws.ec2.VpcEndpoint(
        f"{name}-endpoint",
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{args.region}.bedrock-runtime",
        vpc_endpoint_type="Interface",
        subnet_ids=list(vpc.subnets),
        security_group_ids=[group.id],
        private_dns_enabled=True,
        region=args.region,
        tags=args.tags,
        opts=child,
    )
