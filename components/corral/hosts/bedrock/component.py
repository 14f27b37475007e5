"""AWS Bedrock as a host: access to its models, and what stands around them in the account.

Policy.  Each model needs the foundation model behind its id and every region in which AWS may process its requests;
both come of the plan.  Where one of them is unknown, or a place stands for regions (`us`), nothing is provisioned: a
permission that is wide enough for what nobody knows would be wide enough for everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import pulumi
import pulumi.dynamic
import pulumi_aws as aws

from corral.config.hosts import BedrockHost, Guardrail, InvocationLogs
from corral.hosts.base import HostComponent, Site, Vpc
from corral.hosts.bedrock.access import AccessRequest, BedrockModel
from corral.hosts.bedrock.identity import (
    PublishedGuardrail,
    foundation_arn,
    invoke,
    log_trust,
    profile_arn,
    write_log,
)
from corral.hosts.bedrock.provider import ModelAccessProvider
from corral.hosts.endpoint import AmbientCredential, Endpoint
from corral.hosts.iam import policy
from corral.plan.plan import Target

_REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+")
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

    @classmethod
    def of(cls, name: str, site: Site) -> BedrockArgs:
        """The arguments of the host `name`.  Raises pulumi.RunError where the stack says too little."""
        host, targets = site.host(name, BedrockHost), site.plan.at(name)
        region, vpc = next(iter(targets.values())).region, site.cluster.vpc
        if region is None:
            raise pulumi.RunError(f"{name} has no region to call: set corral:hosts.{name}.region, or aws:region")
        if host.vpc_endpoint and (vpc is None or vpc.region != region):
            raise pulumi.RunError(
                f"corral:hosts.{name}.vpcEndpoint asks for an endpoint in the cluster's VPC, but the cluster has none "
                f"in {region}: remove it, or let the stack make the cluster there"
            )
        return cls(
            host=name,
            region=region,
            models=tuple(_called(model, target) for model, target in targets.items()),
            accept_agreements=host.accept_agreements,
            cost_tags=host.cost_tags,
            guardrail=host.guardrail,
            invocation_logs=host.invocation_logs,
            vpc=vpc if host.vpc_endpoint else None,
            tags=site.tags,
        )


def _called(name: str, target: Target) -> BedrockModel:
    """A model so exactly that permissions can be written for it, and no wider ones than it takes."""
    key = f"corral:hosts.{target.host}.models.{name}"
    if target.base_model is None:
        raise pulumi.RunError(
            f"which foundation model is behind {target.model_id} is not known: give {key}.id the id of an inference "
            "profile, and the host `costTags` if its costs are to be told apart"
        )
    regions = target.reaches or ()
    if not regions or not all(_REGION.fullmatch(region) for region in regions):
        extent = f"only as {', '.join(regions)}" if regions else "not at all"
        raise pulumi.RunError(
            f"the regions in which {target.host} processes {name} are known {extent}: list them under {key}.reaches, "
            f"as `aws bedrock get-inference-profile --inference-profile-identifier {target.model_id}` names them"
        )
    return BedrockModel(name, target.model_id, target.base_model, regions)


class ModelAccess(pulumi.dynamic.Resource, module="bedrock", name="ModelAccess"):
    """That this account may call one model from one region: asked when it is new and on refresh."""

    outcome: pulumi.Output[str]
    """`allowed`, or `unknown`: a model that is refused fails its stack."""
    why: pulumi.Output[str]

    def __init__(self, name: str, request: AccessRequest, opts: pulumi.ResourceOptions) -> None:
        super().__init__(ModelAccessProvider(), name, {**request.properties, "outcome": None, "why": None}, opts)


class Bedrock(HostComponent):
    """Model access, and as the stack asks: application profiles, a guardrail, a log, an interface endpoint.

    Leaves to others: the identity that calls (it is to be given `invoke_policy`) and the routes.
    """

    def __init__(self, name: str, args: BedrockArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:hosts:Bedrock", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        accesses = {model.name: _access(name, args, model, child) for model in args.models}
        profiles = {
            model.name: _application_profile(name, args, model, account, accesses[model.name], child)
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
            lambda known: policy(
                invoke(
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
                body={"guardrailConfig": _guardrail_config(guardrail)} if guardrail else {},
            )
            for model in args.models
        }
        self.register_outputs({"invokePolicy": self.invoke_policy})


def _access(name: str, args: BedrockArgs, model: BedrockModel, child: pulumi.ResourceOptions) -> ModelAccess:
    """Asks for the model; that it could not be asked for is printed."""
    request = AccessRequest(model, args.host, args.region, args.accept_agreements)
    access = ModelAccess(f"{name}-access-{model.name}", request, child)

    def warn(verdict: list[str]) -> None:
        outcome, why = verdict
        if outcome == "unknown":
            pulumi.log.warn(f"whether {args.host} may be called is unknown: {why}")

    pulumi.Output.all(access.outcome, access.why).apply(warn)
    return access


def _application_profile(
    name: str,
    args: BedrockArgs,
    model: BedrockModel,
    account: pulumi.Output[str],
    access: ModelAccess,
    child: pulumi.ResourceOptions,
) -> aws.bedrock.InferenceProfile:
    """A copy of the cross-region profile, else of the foundation model, with tags for AWS's bills."""

    def source(account: str) -> str:
        return profile_arn(model, account, args.region) or foundation_arn(model, args.region)

    return aws.bedrock.InferenceProfile(
        f"{name}-profile-{model.name}",
        description=f"{model.name} at {args.host}",
        model_source={"copy_from": account.apply(source)},
        region=args.region,
        tags={**args.cost_tags, **args.tags},
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[access])),
    )


def _guardrail(
    name: str, args: BedrockArgs, settings: Guardrail, child: pulumi.ResourceOptions
) -> aws.bedrock.GuardrailVersion:
    """A guardrail and its version, which is published anew when the guardrail changes."""
    filters = [
        aws.bedrock.GuardrailContentPolicyConfigFiltersConfigArgs(
            type=each,
            input_strength=settings.strength,
            output_strength="NONE" if each == _PROMPT_ATTACK else settings.strength,
        )
        for each in _FILTERS
    ]
    guardrail = aws.bedrock.Guardrail(
        f"{name}-guardrail",
        blocked_input_messaging=settings.message,
        blocked_outputs_messaging=settings.message,
        content_policy_config=aws.bedrock.GuardrailContentPolicyConfigArgs(filters_configs=filters),
        region=args.region,
        tags=args.tags,
        opts=child,
    )
    content = sha256(settings.model_dump_json().encode()).hexdigest()[:12]
    return aws.bedrock.GuardrailVersion(
        f"{name}-guardrail-version",
        guardrail_arn=guardrail.guardrail_arn,
        description=f"{settings.strength} {content}",
        region=args.region,
        opts=child,
    )


def _guardrail_config(guardrail: aws.bedrock.GuardrailVersion) -> pulumi.Output[str]:
    """Converse's `guardrailConfig`."""
    return pulumi.Output.json_dumps(
        {"guardrailIdentifier": guardrail.guardrail_arn, "guardrailVersion": guardrail.version}
    )


def _logs(
    name: str,
    args: BedrockArgs,
    settings: InvocationLogs,
    account: pulumi.Output[str],
    child: pulumi.ResourceOptions,
) -> None:
    group = aws.cloudwatch.LogGroup(
        f"{name}-invocations", retention_in_days=settings.retention_days, region=args.region, tags=args.tags, opts=child
    )
    role = aws.iam.Role(
        f"{name}-invocations-writer",
        assume_role_policy=account.apply(log_trust),
        tags=args.tags,
        opts=child,
    )
    written = aws.iam.RolePolicy(
        f"{name}-invocations-write",
        role=role.name,
        policy=group.arn.apply(lambda arn: policy([write_log(arn)])),
        opts=child,
    )
    aws.bedrockmodel.InvocationLoggingConfiguration(
        f"{name}-invocation-logging",
        logging_config={
            "cloudwatch_config": {"log_group_name": group.name, "role_arn": role.arn},
            "text_data_delivery_enabled": settings.prompts,
            "image_data_delivery_enabled": settings.prompts,
            "embedding_data_delivery_enabled": settings.prompts,
            "video_data_delivery_enabled": settings.prompts,
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
