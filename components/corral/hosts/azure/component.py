"""Azure AI Foundry as a host: an account with one deployment per model.

Policy.  A request to Azure names a deployment, so the target's id is the deployment's name: there is no other.  The
model that is deployed under it is the plan's base model; its version is the stack's to say.

A deleted account keeps its name, and its subdomain, for 48 hours unless it is purged: creating it again under that name
fails with FlagMustBeSetForRestore.  So an account is called as its resource group, whose name Pulumi makes with a
random end once and keeps for as long as the group lives: the same through every update, another one after the stack was
destroyed and made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pulumi
import pulumi_random as random
from pulumi_azure_native import authorization, cognitiveservices, network, resources

from corral.catalog.patterns import ANYWHERE
from corral.config.hosts import AzureHost, Entra, PrivateEndpoint
from corral.hosts.azure.deployments import FORMAT, Deployment, account_name, deployments, location
from corral.hosts.base import HostComponent, Site
from corral.hosts.endpoint import Endpoint, EntraCredential, KeyCredential

if TYPE_CHECKING:
    from corral.hosts.endpoint import Key

_ROLE = "/subscriptions/{0}/providers/Microsoft.Authorization/roleDefinitions/a97b65f3-24c7-4388-baec-2e87135dc908"
"""Cognitive Services User, by its id in Azure's list of built-in roles: for models of any maker, Llama too."""

_WAY_OUT = (
    "`corral preflight -s {stack}` says whether it is a quota: have it raised, or change corral:hosts.{host}.capacity, "
    "sku or location."
)


@dataclass(frozen=True)
class AzureArgs:
    """What a stack says of an Azure host, as far as the component carries it out."""

    host: str
    location: str
    deployments: tuple[Deployment, ...]
    sku: str
    content_filter: str | None
    """The name of a RAI policy; None: Azure's default."""
    key_header: Literal["authorization", "api-key"]
    """The header the key is sent in."""
    allow_from: Sequence[pulumi.Input[str]]
    """Public IPv4 addresses and ranges; `anywhere` among them opens the account to all that have a key."""
    private_endpoint: PrivateEndpoint | None
    """Given one, `allow_from` means nothing: the account cannot be called from the internet."""
    tags: Mapping[str, str]
    entra: Entra | None = None
    """The principal that calls, for which the account takes no keys; without one the account's first key is sent."""
    secret: Key | None = field(default=None, repr=False)
    """That of the principal."""

    @classmethod
    def of(cls, name: str, site: Site) -> AzureArgs:
        """The arguments of the host `name`, of a stack that was read."""
        host, targets = site.host(name, AzureHost), site.plan.at(name)
        return cls(
            host=name,
            location=location(name, host),
            deployments=deployments(targets, host),
            sku=host.sku,
            content_filter=host.content_filter,
            key_header=next(iter(targets.values())).credential.header or "api-key",
            entra=host.entra,
            secret=site.key(name) if host.entra else None,
            allow_from=[*site.cluster.public_addresses, *host.allow_from],
            private_endpoint=host.private_endpoint,
            tags=site.tags,
        )


class Azure(HostComponent):
    """A resource group, the account in it, its deployments one after the other, and as the stack asks a private
    endpoint.

    Leaves to others: the routes, and where no keys are taken the tokens.
    """

    def __init__(self, name: str, args: AzureArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:hosts:Azure", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._group = resources.ResourceGroup(f"{name}-group", location=args.location, tags=args.tags, opts=self._child)
        called = self._group.name.apply(account_name)
        account = cognitiveservices.Account(
            f"{name}-account",
            account_name=called,
            resource_group_name=self._group.name,
            location=args.location,
            kind="AIServices",
            sku={"name": "S0"},
            properties=cognitiveservices.AccountPropertiesArgs(
                custom_sub_domain_name=called,
                disable_local_auth=args.entra is not None,
                public_network_access="Disabled" if args.private_endpoint else "Enabled",
                network_acls=_network_rules(args),
            ),
            tags=args.tags,
            opts=self._child,
        )
        deployments = self._deployments(account)
        private = self._private_endpoint(args.private_endpoint, account, deployments) if args.private_endpoint else []
        if args.entra and args.secret is not None:
            private.append(self._role(account, args.entra))
            credential = EntraCredential(args.entra.tenant, args.entra.client, args.secret)
        else:
            credential = KeyCredential(args.key_header, self._key(account))
        hostname = pulumi.Output.concat(called, ".services.ai.azure.com")
        self.endpoints = {
            each.name: Endpoint(
                model=each.name,
                host=args.host,
                hostname=hostname,
                port=443,
                tls=True,
                protocol="openai",
                path="/openai/v1",
                model_id=each.deployment,
                credential=credential,
                ready=[deployments[each.name], *private],
                way_out=_WAY_OUT.format(host=args.host, stack=pulumi.get_stack()),
            )
            for each in args.deployments
        }
        self.register_outputs({"hostname": hostname})

    def _deployments(self, account: cognitiveservices.Account) -> Mapping[str, cognitiveservices.Deployment]:
        """Per model its deployment.  Each waits for the one before: Azure answers two at a time with RequestConflict.

        A version that the stack states is kept until Azure retires it; without one, Azure moves to its new defaults.
        """
        deployments: dict[str, cognitiveservices.Deployment] = {}
        before: list[pulumi.Resource] = []
        for each in self._args.deployments:
            upgrade = "OnceCurrentVersionExpired" if each.version else "OnceNewDefaultVersionAvailable"
            model = cognitiveservices.DeploymentModelArgs(format=FORMAT, name=each.azure_model, version=each.version)
            deployments[each.name] = cognitiveservices.Deployment(
                f"{self._name}-deployment-{each.name}",
                account_name=account.name,
                resource_group_name=self._group.name,
                deployment_name=each.deployment,
                sku=cognitiveservices.SkuArgs(name=self._args.sku, capacity=each.capacity),
                properties=cognitiveservices.DeploymentPropertiesArgs(
                    model=model, rai_policy_name=self._args.content_filter, version_upgrade_option=upgrade
                ),
                tags=self._args.tags,
                opts=pulumi.ResourceOptions(parent=self, depends_on=before),
            )
            before = [deployments[each.name]]
        return deployments

    def _role(self, account: cognitiveservices.Account, entra: Entra) -> authorization.RoleAssignment:
        """Lets the principal ask for answers."""
        subscription = authorization.get_client_config_output(pulumi.InvokeOptions(parent=self)).subscription_id
        return authorization.RoleAssignment(
            f"{self._name}-caller",
            role_assignment_name=random.RandomUuid(f"{self._name}-caller-name", opts=self._child).result,
            scope=account.id,
            role_definition_id=pulumi.Output.format(_ROLE, subscription),
            principal_id=entra.principal,
            principal_type="ServicePrincipal",
            opts=self._child,
        )

    def _key(self, account: cognitiveservices.Account) -> pulumi.Output[str]:
        """The account's first key.  Azure's SDK does not mark it as a secret."""
        keys = cognitiveservices.list_account_keys_output(
            account_name=account.name, resource_group_name=self._group.name, opts=pulumi.InvokeOptions(parent=self)
        )
        return pulumi.Output.secret(keys.apply(lambda keys: keys.key1 or ""))

    def _private_endpoint(
        self,
        settings: PrivateEndpoint,
        account: cognitiveservices.Account,
        deployments: Mapping[str, cognitiveservices.Deployment],
    ) -> list[pulumi.Resource]:
        """After the last deployment: while one changes the account, Azure refuses an endpoint of it
        (`AccountProvisioningStateInvalid`, Azure/bicep-registry-modules#7205)."""
        connection = network.PrivateLinkServiceConnectionArgs(
            name=self._args.host, private_link_service_id=account.id, group_ids=["account"]
        )
        endpoint = network.PrivateEndpoint(
            f"{self._name}-endpoint",
            resource_group_name=self._group.name,
            location=settings.location or self._args.location,
            subnet={"id": settings.subnet},
            private_link_service_connections=[connection],
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*deployments.values()]),
        )
        if not settings.dns_zones:
            return [endpoint]
        configs = [
            network.PrivateDnsZoneConfigArgs(name=zone.rpartition("/")[2].replace(".", "-"), private_dns_zone_id=zone)
            for zone in settings.dns_zones
        ]
        zones = network.PrivateDnsZoneGroup(
            f"{self._name}-endpoint-zones",
            resource_group_name=self._group.name,
            private_endpoint_name=endpoint.name,
            private_dns_zone_configs=configs,
            opts=self._child,
        )
        return [endpoint, zones]


def _network_rules(args: AzureArgs) -> cognitiveservices.NetworkRuleSetArgs:
    """Nobody but those who are named, unless the stack names everybody."""
    if ANYWHERE in args.allow_from and not args.private_endpoint:
        return cognitiveservices.NetworkRuleSetArgs(default_action="Allow", bypass="None")
    allowed = [] if args.private_endpoint else [cognitiveservices.IpRuleArgs(value=each) for each in args.allow_from]
    return cognitiveservices.NetworkRuleSetArgs(default_action="Deny", bypass="None", ip_rules=allowed)
