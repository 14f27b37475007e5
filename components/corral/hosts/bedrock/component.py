"""AWS Bedrock as a host: access to its models, and what stands around them in the account.

Policy.  Each model needs the foundation model behind its id and every region in which AWS may process its requests;
both come of the plan.  Where one of them is unknown, or a place stands for regions (`us`), nothing is provisioned: a
permission that is wide enough for what nobody knows would be wide enough for everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi.dynamic
import pulumi_aws as aws

from corral.config.hosts import BedrockHost, Guardrail, InvocationLogs
from corral.hosts.base import HostComponent, Site, Vpc, autonamed
from corral.hosts.bedrock.access import BedrockModel
from corral.hosts.bedrock.identity import (
    foundation_arn,
    invoke,
    log_trust,
    profile_arn,
    write_log,
)
from corral.hosts.bedrock.provider import ModelAccessProvider
from corral.hosts.endpoint import AmbientCredential, Endpoint
from corral.hosts.iam import policy
from corral.hosts.naming import GUARDRAIL_LENGTH, PROFILE_LENGTH, ROLE_LENGTH

if TYPE_CHECKING:
    from corral.hosts.endpoint import Key

_PROMPT_ATTACK = "PROMPT_ATTACK"
"""The one filter that looks at the prompt only: AWS demands NONE for its answer."""
_FILTERS = ("HATE", "INSULTS", "MISCONDUCT", _PROMPT_ATTACK, "SEXUAL", "VIOLENCE")


@dataclass(frozen=True)
class BedrockArgs:
    """What a stack says of a Bedrock host, as far as the component carries it out."""

    host: str
    region: str
    models: tuple[BedrockModel, ...]
    cost_tags: Mapping[str, str]
    """Empty: models are called without application inference profiles."""
    guardrail: Guardrail | None
    invocation_logs: InvocationLogs | None
    vpc: Vpc | None
    """None: Bedrock is called over the internet."""
    credentials: Key | None = field(repr=False)
    """A credentials file of AWS; None: the gateway has an identity."""
    tags: Mapping[str, str]

    @classmethod
    def of(cls, name: str, site: Site) -> BedrockArgs:
        """The arguments of the host `name`, of a plan that no check refuses."""
        host, targets = site.host(name, BedrockHost), site.plan.at(name)
        models = tuple(
            BedrockModel.of(model, target, accept_agreements=host.accept_agreements)
            for model, target in targets.items()
        )
        return cls(
            host=name,
            region=models[0].region,
            models=models,
            cost_tags=host.cost_tags,
            guardrail=host.guardrail,
            invocation_logs=host.invocation_logs,
            vpc=site.cluster.vpc if host.vpc_endpoint else None,
            credentials=site.key(name) if next(iter(targets.values())).credential.file else None,
            tags=site.tags,
        )


class ModelAccess(pulumi.dynamic.Resource, module="bedrock", name="ModelAccess"):
    """That this account may call one model from one region: asked when it is new and on refresh."""

    outcome: pulumi.Output[str]
    """`allowed`, `unknown` or `refused`."""
    why: pulumi.Output[str]

    def __init__(self, name: str, model: BedrockModel, opts: pulumi.ResourceOptions) -> None:
        properties = model.model_dump(by_alias=True)
        super().__init__(ModelAccessProvider(), name, {**properties, "outcome": None, "why": None}, opts)
        self.refusal: pulumi.Output[str | None] = pulumi.Output.all(self.outcome, self.why).apply(
            lambda verdict: f"{model.name} is refused: {verdict[1]}" if verdict[0] == "refused" else None
        )


class Bedrock(HostComponent):
    """Model access, and as the stack asks: application profiles, a guardrail, a log, an interface endpoint.

    Leaves to others: the identity that calls (it is to be given `invoke_policy`) and the routes.
    """

    def __init__(self, name: str, args: BedrockArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:hosts:Bedrock", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        accesses = {model.name: self._access(model) for model in args.models}
        profiles = {
            model.name: self._application_profile(model, account, accesses[model.name])
            for model in args.models
            if args.cost_tags
        }
        guardrail = self._guardrail(args.guardrail) if args.guardrail else None
        if args.invocation_logs:
            self._log_invocations(args.invocation_logs, account)
        around = [each for each in (guardrail, self._vpc_endpoint(args.vpc) if args.vpc else None) if each is not None]
        self.invoke_policy = self._invoke_policy(account, profiles, guardrail)
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
                credential=AmbientCredential(args.region, args.credentials),
                refusal=accesses[model.name].refusal,
                ready=[accesses[model.name], *([profiles[model.name]] if profiles else []), *around],
                body={"guardrailConfig": _guardrail_config(guardrail)} if guardrail else {},
            )
            for model in args.models
        }
        self.register_outputs({"invokePolicy": self.invoke_policy})

    def _access(self, model: BedrockModel) -> ModelAccess:
        """Asks for the model; that it could not be asked for is printed."""
        access = ModelAccess(f"{self._name}-access-{model.name}", model, self._child)

        def warn(verdict: list[str]) -> None:
            outcome, why = verdict
            if outcome == "unknown":
                pulumi.log.warn(f"whether {model.host} may be called is unknown: {why}")

        pulumi.Output.all(access.outcome, access.why).apply(warn)
        return access

    def _application_profile(
        self, model: BedrockModel, account: pulumi.Output[str], access: ModelAccess
    ) -> aws.bedrock.InferenceProfile:
        """A copy of the cross-region profile, else of the foundation model, with tags for AWS's bills."""

        def source(account: str) -> str:
            return profile_arn(model, account) or foundation_arn(model, model.region)

        before, after = f"{self._name}-profile-{model.name}", pulumi.ResourceOptions(parent=self, depends_on=[access])
        name, opts = autonamed(self._name, "profile", model.name, limit=PROFILE_LENGTH, before=before, opts=after)
        return aws.bedrock.InferenceProfile(
            name,
            description=re.sub(r"[^0-9A-Za-z:.]+", " ", f"{model.name} at {model.host}"),
            model_source={"copy_from": account.apply(source)},
            region=model.region,
            tags={**self._args.cost_tags, **self._args.tags},
            opts=opts,
        )

    def _invoke_policy(
        self,
        account: pulumi.Output[str],
        profiles: Mapping[str, aws.bedrock.InferenceProfile],
        guardrail: aws.bedrock.GuardrailVersion | None,
    ) -> pulumi.Output[str]:
        def document(outputs: Any) -> pulumi.Output[str]:
            return policy(invoke(outputs["account"], self._args.models, outputs["profiles"], outputs["guardrail"]))

        return pulumi.Output.all(
            account=account,
            profiles={model: profile.arn for model, profile in profiles.items()},
            guardrail=guardrail.guardrail_arn if guardrail else None,
        ).apply(document)

    def _guardrail(self, settings: Guardrail) -> aws.bedrock.GuardrailVersion:
        """A guardrail and its version, which is published anew when the guardrail changes.

        A version before stays, up to Bedrock's limit of 20, since the gateway still names it for a while.
        """
        strength = settings.strength
        filters = [
            aws.bedrock.GuardrailContentPolicyConfigFiltersConfigArgs(
                type=each, input_strength=strength, output_strength="NONE" if each == _PROMPT_ATTACK else strength
            )
            for each in _FILTERS
        ]
        before = f"{self._name}-guardrail"
        name, opts = autonamed(self._name, "guardrail", limit=GUARDRAIL_LENGTH, before=before, opts=self._child)
        guardrail = aws.bedrock.Guardrail(
            name,
            blocked_input_messaging=settings.message,
            blocked_outputs_messaging=settings.message,
            content_policy_config=aws.bedrock.GuardrailContentPolicyConfigArgs(filters_configs=filters),
            region=self._args.region,
            tags=self._args.tags,
            opts=opts,
        )
        content = sha256(settings.model_dump_json().encode()).hexdigest()[:12]
        return aws.bedrock.GuardrailVersion(
            f"{self._name}-guardrail-version",
            guardrail_arn=guardrail.guardrail_arn,
            description=f"{strength} {content}",
            skip_destroy=True,
            region=self._args.region,
            opts=self._child,
        )

    def _log_invocations(self, settings: InvocationLogs, account: pulumi.Output[str]) -> None:
        name, region, tags = self._name, self._args.region, self._args.tags
        group = aws.cloudwatch.LogGroup(
            f"{name}-invocations", retention_in_days=settings.retention_days, region=region, tags=tags, opts=self._child
        )
        before = f"{name}-invocations-writer"
        writer, opts = autonamed(name, "invocations", "writer", limit=ROLE_LENGTH, before=before, opts=self._child)
        role = aws.iam.Role(writer, assume_role_policy=account.apply(log_trust), tags=tags, opts=opts)
        permission = aws.iam.RolePolicy(
            f"{name}-invocations-write",
            role=role.name,
            policy=group.arn.apply(lambda arn: policy([write_log(arn)])),
            opts=self._child,
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
            region=region,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )

    def _vpc_endpoint(self, vpc: Vpc) -> aws.ec2.VpcEndpoint:
        """With private DNS: Bedrock's public name leads to it from within the VPC."""
        group = aws.ec2.SecurityGroup(
            f"{self._name}-endpoint-clients",
            description=f"The gateway calls {self._args.host} through its interface endpoint",
            vpc_id=vpc.id,
            ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "security_groups": [vpc.pods]}],
            region=self._args.region,
            tags=self._args.tags,
            opts=self._child,
        )
        return aws.ec2.VpcEndpoint(
            f"{self._name}-endpoint",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{self._args.region}.bedrock-runtime",
            vpc_endpoint_type="Interface",
            subnet_ids=list(vpc.one_per_zone),
            security_group_ids=[group.id],
            private_dns_enabled=True,
            region=self._args.region,
            tags=self._args.tags,
            opts=self._child,
        )


def _guardrail_config(guardrail: aws.bedrock.GuardrailVersion) -> pulumi.Output[str]:
    """Converse's `guardrailConfig`."""
    return pulumi.Output.json_dumps(
        {"guardrailIdentifier": guardrail.guardrail_arn, "guardrailVersion": guardrail.version}
    )
