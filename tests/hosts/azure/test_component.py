import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.config.hosts import Entra, PrivateEndpoint
from corral.hosts.azure.component import Azure, AzureArgs, Deployment, account_name
from corral.hosts.endpoint import Endpoint, EntraCredential, KeyCredential
from corral.testing import World, run
from corral.testing.recording import Secret
from tests.hosts.site import TAGS, site, stack

LLAMA = Deployment("llama-3.3-70b", "chat", "Llama-3.3-70B-Instruct", "9", 200)
MAVERICK = Deployment(
    "llama-4-maverick",
    "Llama-4-Maverick-17B-128E-Instruct-FP8",
    "Llama-4-Maverick-17B-128E-Instruct-FP8",
    None,
    100,
)
ARGS = AzureArgs(
    host="azure",
    location="eastus2",
    deployments=(LLAMA, MAVERICK),
    sku="GlobalStandard",
    content_filter=None,
    key_header="api-key",
    allow_from=["203.0.113.7", "198.51.100.0/24"],
    private_endpoint=None,
    tags=TAGS,
)
SUBNET = "/subscriptions/0/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/hub/subnets/endpoints"
ZONE = "/subscriptions/0/resourceGroups/hub/providers/Microsoft.Network/privateDnsZones/privatelink.openai.azure.com"
PRIVATE = replace(ARGS, private_endpoint=PrivateEndpoint(subnet=SUBNET, location="eastus", dns_zones=[ZONE]))

PRINCIPAL = Entra(
    tenant="11111111-89ab-cdef-0123-456789abcdef",
    client="22222222-89ab-cdef-0123-456789abcdef",
    principal="33333333-89ab-cdef-0123-456789abcdef",
)

GROUP = "azure-group-name"
"""What the group is called in the test world, in place of Pulumi's random end."""


def provisioned(args: AzureArgs) -> tuple[World, Mapping[str, Endpoint]]:
    made: list[Azure] = []

    def program() -> None:
        host = Azure("azure", args)
        for name, endpoint in host.endpoints.items():
            pulumi.export(f"hostname-{name}", endpoint.hostname)
            pulumi.export(f"ready-{name}", [each.urn for each in endpoint.ready])
            if isinstance(endpoint.credential, KeyCredential):
                pulumi.export(f"key-{name}", endpoint.credential.value)
        made.append(host)

    return run(program), made[0].endpoints


def deployment(each: Deployment, **changes: Any) -> dict[str, Any]:
    version = {"version": each.version} if each.version else {}
    upgrade = "OnceCurrentVersionExpired" if each.version else "OnceNewDefaultVersionAvailable"
    return {
        "accountName": "azure-account-name",
        "resourceGroupName": GROUP,
        "deploymentName": each.deployment,
        "sku": {"name": "GlobalStandard", "capacity": each.capacity},
        "properties": {
            "model": {"format": "Meta", "name": each.azure_model, **version},
            "versionUpgradeOption": upgrade,
            **changes,
        },
        "tags": TAGS,
    }


def account(**changes: Any) -> dict[str, Any]:
    rules = {
        "defaultAction": "Deny",
        "bypass": "None",
        "ipRules": [{"value": "203.0.113.7"}, {"value": "198.51.100.0/24"}],
    }
    properties = {
        "customSubDomainName": GROUP,
        "disableLocalAuth": False,
        "publicNetworkAccess": "Enabled",
        "networkAcls": rules,
    }
    return {
        "accountName": GROUP,
        "resourceGroupName": GROUP,
        "location": "eastus2",
        "kind": "AIServices",
        "sku": {"name": "S0"},
        "properties": properties | changes,
        "tags": TAGS,
    }


def test_a_host_is_a_group_an_account_and_a_deployment_per_model():
    world, _ = provisioned(ARGS)
    assert {each.name: each.inputs for each in world.resources if each.custom} == {
        "azure-group": {"location": "eastus2", "tags": TAGS},
        "azure-account": account(),
        "azure-deployment-llama-3.3-70b": deployment(LLAMA),
        "azure-deployment-llama-4-maverick": deployment(MAVERICK),
    }
    assert {each.parent for each in world.resources if each.custom} == {world["azure"].urn}


def test_a_model_is_called_by_its_deployment_with_the_key_of_the_account():
    world, endpoints = provisioned(ARGS)
    assert {
        name: (each.model, each.host, each.port, each.tls, each.protocol, each.path, each.model_id, each.body)
        for name, each in endpoints.items()
    } == {
        each.name: (each.name, "azure", 443, True, "openai", "/openai/v1", each.deployment, {})
        for each in (LLAMA, MAVERICK)
    }
    assert {each.credential.header for each in endpoints.values() if isinstance(each.credential, KeyCredential)} == {
        "api-key"
    }
    assert {name: value for name, value in world.outputs.items() if not name.startswith("ready")} == {
        "hostname-llama-3.3-70b": f"{GROUP}.services.ai.azure.com",
        "hostname-llama-4-maverick": f"{GROUP}.services.ai.azure.com",
        "key-llama-3.3-70b": Secret("made-up-secret-azure-account-name-1"),
        "key-llama-4-maverick": Secret("made-up-secret-azure-account-name-1"),
    }


def test_an_account_that_takes_no_keys_is_called_by_a_principal_that_may():
    secret: Any = "the principal's"
    world, endpoints = provisioned(replace(ARGS, entra=PRINCIPAL, secret=secret))
    assert world["azure-account"].inputs["properties"]["disableLocalAuth"]
    assert {key: value for key, value in world["azure-caller"].inputs.items() if key != "roleAssignmentName"} == {
        "scope": "azure-account-id",
        "roleDefinitionId": "/subscriptions/01234567-89ab-cdef-0123-456789abcdef/providers/Microsoft.Authorization/"
        "roleDefinitions/a97b65f3-24c7-4388-baec-2e87135dc908",
        "principalId": PRINCIPAL.principal,
        "principalType": "ServicePrincipal",
    }
    assert endpoints[LLAMA.name].credential == EntraCredential(PRINCIPAL.tenant, PRINCIPAL.client, secret)
    assert world["azure-caller"].urn in world.outputs[f"ready-{LLAMA.name}"]


def test_deployments_are_made_one_after_the_other():
    world, _ = provisioned(ARGS)
    first, second = world["azure-deployment-llama-3.3-70b"], world["azure-deployment-llama-4-maverick"]
    assert (first.urn in second.dependencies, second.urn in first.dependencies) == (True, False)


def test_an_endpoint_is_ready_with_its_deployment_and_the_private_endpoint():
    world, _ = provisioned(PRIVATE)
    assert world.outputs["ready-llama-4-maverick"] == [
        world[name].urn for name in ("azure-deployment-llama-4-maverick", "azure-endpoint", "azure-endpoint-zones")
    ]


def test_behind_a_private_endpoint_nothing_is_public():
    world, _ = provisioned(PRIVATE)
    assert {name: world[name].inputs for name in ("azure-account", "azure-endpoint", "azure-endpoint-zones")} == {
        "azure-account": account(
            publicNetworkAccess="Disabled", networkAcls={"defaultAction": "Deny", "bypass": "None", "ipRules": []}
        ),
        "azure-endpoint": {
            "resourceGroupName": GROUP,
            "location": "eastus",
            "subnet": {"id": SUBNET},
            "privateLinkServiceConnections": [
                {"name": "azure", "privateLinkServiceId": "azure-account-id", "groupIds": ["account"]}
            ],
            "tags": TAGS,
        },
        "azure-endpoint-zones": {
            "resourceGroupName": GROUP,
            "privateEndpointName": "azure-endpoint-name",
            "privateDnsZoneConfigs": [{"name": "privatelink-openai-azure-com", "privateDnsZoneId": ZONE}],
        },
    }


def test_the_private_endpoint_is_made_after_the_last_deployment():
    world, _ = provisioned(PRIVATE)
    deployments = {each.urn for each in world.of_type("Deployment")}
    assert len(deployments) == 2
    assert deployments <= world["azure-endpoint"].dependencies


def test_the_account_is_open_only_where_the_stack_says_so():
    opened = provisioned(replace(ARGS, allow_from=["anywhere"]))[0]["azure-account"].inputs
    assert opened == account(networkAcls={"defaultAction": "Allow", "bypass": "None"})


def test_a_content_filter_is_on_every_deployment():
    world, _ = provisioned(replace(ARGS, content_filter="Microsoft.DefaultV2"))
    filtered = {
        each.inputs["properties"]["raiPolicyName"]
        for each in world.of_type("azure-native:cognitiveservices:Deployment")
    }
    assert filtered == {"Microsoft.DefaultV2"}


def arguments(*cluster: str, **settings: Any) -> AzureArgs:
    host = {"kind": "azure", "location": "eastus2", "capacity": {"llama-3.3-70b": 200}} | settings
    declared = stack({"azure": host}, {"llama-3.3-70b": {"shares": {"azure": 100}}})
    return AzureArgs.of("azure", site(declared, public_addresses=cluster))


def test_the_arguments_are_what_the_stack_and_the_cluster_say():
    settings = arguments(
        "203.0.113.7",
        allowFrom=["198.51.100.0/24"],
        models={"llama-3.3-70b": "chat"},
        versions={"llama-3.3-70b": "9"},
    )
    assert settings == replace(ARGS, deployments=(LLAMA,))


DEPLOYING: dict[str, Any] = {
    "kind": "azure",
    "location": "eastus2",
    "allowFrom": ["anywhere"],
    "capacity": {"llama-3.3-70b": 200, "ours": 10},
}


def deployed(**settings: Any) -> tuple[Deployment, ...]:
    models = {"llama-3.3-70b": {"shares": {"azure": 0, "groq": 100}}, "ours": {"shares": {"azure": 100}}}
    if "ours" not in settings.get("models", {}):
        del models["ours"]
    declared = stack({"azure": DEPLOYING | settings, "groq": {"kind": "groq"}}, models)
    return AzureArgs.of("azure", site(declared)).deployments


LLAMA_ID = "Llama-3.3-70B-Instruct"


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        pytest.param({}, [Deployment("llama-3.3-70b", LLAMA_ID, LLAMA_ID, None, 200)], id="under Azure's name"),
        pytest.param(
            {"versions": {"llama-3.3-70b": "9"}},
            [Deployment("llama-3.3-70b", LLAMA_ID, LLAMA_ID, "9", 200)],
            id="in the version of the stack",
        ),
        pytest.param(
            {"models": {"llama-3.3-70b": "chat"}},
            [Deployment("llama-3.3-70b", "chat", LLAMA_ID, None, 200)],
            id="under a name of one's own",
        ),
        pytest.param(
            {"models": {"llama-3.3-70b": "Llama-4-Maverick-17B-128E-Instruct-FP8"}},
            [
                Deployment(
                    "llama-3.3-70b",
                    "Llama-4-Maverick-17B-128E-Instruct-FP8",
                    "Llama-4-Maverick-17B-128E-Instruct-FP8",
                    None,
                    200,
                )
            ],
            id="another model that the catalog knows",
        ),
        pytest.param(
            {"models": {"ours": "Llama-Next"}},
            [
                Deployment("llama-3.3-70b", LLAMA_ID, LLAMA_ID, None, 200),
                Deployment("ours", "Llama-Next", "Llama-Next", None, 10),
            ],
            id="a model that the catalog does not know",
        ),
    ],
)
def test_the_id_of_the_plan_is_the_name_of_the_deployment(settings: dict[str, Any], want: list[Deployment]):
    assert list(deployed(**settings)) == want


@pytest.mark.parametrize(
    ("group", "want"),
    [
        ("azure-group1a2b3c4d", "azure-group1a2b3c4d"),
        ("Azure_Group.1A2B3C4D", "azure-group-1a2b3c4d"),
        (f"{'a' * 70}1a2b3c4d", f"{'a' * 56}1a2b3c4d"),
    ],
)
def test_an_account_is_called_as_its_resource_group(group: str, want: str):
    assert account_name(group) == want


@given(st.from_regex(r"[A-Za-z0-9_.()-]{1,82}[0-9a-f]{8}", fullmatch=True))
def test_every_name_is_one_that_azure_takes_and_keeps_the_random_end(group: str):
    name = account_name(group)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]", name)
    assert name.endswith(group[-8:])
