from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import botocore.session  # pyright: ignore[reportMissingTypeStubs]
import pulumi
import pytest

from corral.cluster.eks import Eks, EksArgs
from corral.cluster.image_cache import ImageCache, ImageCacheArgs
from corral.cluster.roles import CUSTOM_TAGS
from corral.config.cluster import EksCluster
from corral.config.hosts import Gpus
from corral.config.registry import PullThrough, Registry
from corral.testing import World, run
from corral.testing.mock_outputs import ACCOUNT, INVOKE_RESULTS, InvokeResults
from corral.testing.recording import Secret

TAGS = {"corral-stack": "prod"}
AUTO_MODE = (
    "AmazonEKSBlockStoragePolicyV2",
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
GIVEN = {"vpc": "vpc-0123456789abcdef0", "subnets": ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]}
ADMIN = "arn:aws:iam::123456789012:role/Platform"


def world(
    *,
    gpus: Gpus | None = None,
    registry: Registry | PullThrough | None = None,
    invoke_results: InvokeResults = INVOKE_RESULTS,
    **settings: Any,
) -> World:
    instances = (gpus.instance,) if gpus else ()

    def program() -> None:
        eks = EksCluster.model_validate(settings)
        cluster = Eks("cluster", EksArgs("prod", eks, "us-east-1", TAGS, instances, registry))
        if gpus:
            cluster.gpu_nodes("vllm", gpus, 4, cluster)

    return run(program, invoke_results=invoke_results)


@pytest.fixture(scope="module")
def new() -> World:
    return world(gpus=Gpus(instance="g6e.12xlarge", min=1, max=4), admins=[ADMIN])


def names(seen: World, urns: frozenset[str]) -> set[str]:
    return {each.name for each in seen.resources if each.urn in urns}


def test_the_flows_of_a_new_vpc_are_logged_where_the_stack_names_a_bucket(new: World):
    logged = world(network={"flowLogs": "arn:aws:s3:::team-logs/corral"})
    assert logged["cluster-network-flow-logs"].inputs == {
        "vpcId": "cluster-network-vpc-id",
        "trafficType": "ALL",
        "logDestinationType": "s3",
        "logDestination": "arn:aws:s3:::team-logs/corral",
        "tags": {**TAGS, "Name": "corral-prod-flow-logs"},
    }
    assert not new.of_type("aws:ec2/flowLog:FlowLog")


def test_a_cluster_runs_auto_mode_with_its_api_within_the_vpc(new: World):
    cluster = new["cluster-cluster"].inputs
    assert {key: cluster[key] for key in cluster if key not in ("roleArn", "vpcConfig", "encryptionConfig")} == {
        "name": "corral-prod",
        "version": "1.35",
        "bootstrapSelfManagedAddons": False,
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
        "computeConfig": {
            "enabled": True,
            "nodePools": ["general-purpose", "system"],
            "nodeRoleArn": cluster["computeConfig"]["nodeRoleArn"],
        },
        "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": True}},
        "storageConfig": {"blockStorage": {"enabled": True}},
        "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
        "upgradePolicy": {"supportType": "STANDARD"},
        "tags": TAGS,
    }
    assert cluster["encryptionConfig"]["resources"] == ["secrets"]
    assert cluster["vpcConfig"]["endpointPrivateAccess"] is True
    assert cluster["vpcConfig"]["endpointPublicAccess"] is False
    assert len(cluster["vpcConfig"]["subnetIds"]) == 3


@pytest.mark.parametrize(
    ("sources", "ranges"),
    [
        (["203.0.113.0/24", "198.51.100.7"], ["203.0.113.0/24", "198.51.100.7/32"]),
        (["anywhere"], ["0.0.0.0/0"]),
        ([], None),
        ("nobody", None),
    ],
)
def test_the_api_answers_the_internet_only_from_where_the_stack_says(sources: object, ranges: list[str] | None):
    config = world(publicFrom=sources)["cluster-cluster"].inputs["vpcConfig"]
    assert (config["endpointPublicAccess"], config.get("publicAccessCidrs")) == (bool(ranges), ranges)


def test_what_the_cluster_needs_to_clean_up_after_itself_outlives_it(new: World):
    needed = {f"cluster-control-{policy}" for policy in AUTO_MODE}
    needed |= {"cluster-node-AmazonEKSWorkerNodeMinimalPolicy", "cluster-node-AmazonEC2ContainerRegistryPullOnly"}
    needed |= {"cluster-logs", "cluster-encrypting", "cluster-network-1-private", "cluster-network-s3"}
    assert needed <= names(new, new["cluster-cluster"].dependencies)


def test_roles_have_the_policies_of_aws_and_pass_session_tags(new: World):
    attached = {each.inputs["policyArn"] for each in new.of_type("RolePolicyAttachment") if "-control-" in each.name}
    assert attached == {f"arn:aws:iam::aws:policy/{policy}" for policy in AUTO_MODE}
    trusted = json.loads(new["cluster-control-role"].inputs["assumeRolePolicy"])["Statement"]
    assert trusted == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {"aws:SourceArn": f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/corral-prod"},
            },
        }
    ]


def test_no_policy_that_is_written_here_has_a_wildcard_but_the_one_of_the_guide_of_eks(new: World):
    written = {each.name: each.inputs["policy"] for each in new.of_type("RolePolicy")}
    assert {name: policy for name, policy in written.items() if "*" in policy} == {"cluster-tagging": CUSTOM_TAGS}
    assert {*written} == {"cluster-tagging", "cluster-encrypting"}


def test_logs_are_where_the_control_plane_writes_them():
    logs = world(retentionDays=365)["cluster-logs"].inputs
    assert (logs["name"], logs["retentionInDays"]) == ("/aws/eks/corral-prod/cluster", 365)


def entries(seen: World) -> list[str]:
    """The principals that have an entry as administrators."""
    return sorted(each.inputs["principalArn"] for each in seen.of_type("AccessEntry") if "-admin-" in each.name)


DEPLOYER = f"arn:aws:iam::{ACCOUNT}:user/deployer"


def test_the_deployer_and_each_administrator_are_let_in_once(new: World):
    assert entries(new) == [ADMIN, DEPLOYER]
    assert {
        (each.inputs["principalArn"], each.inputs["policyArn"], each.inputs["accessScope"]["type"])
        for each in new.of_type("AccessPolicyAssociation")
        if "-admin-" in each.name
    } == {
        (arn, "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", "cluster")
        for arn in (ADMIN, DEPLOYER)
    }
    assert entries(world(admins=[ADMIN, DEPLOYER, ADMIN])) == [ADMIN, DEPLOYER]


def test_an_entry_stays_the_same_resource_wherever_its_administrator_stands():
    def resources(*admins: str) -> dict[str, str]:
        seen = world(admins=[*admins]).of_type("AccessEntry")
        return {each.inputs["principalArn"]: each.name for each in seen}

    other = "arn:aws:iam::123456789012:role/Other"
    assert resources(ADMIN) == {DEPLOYER: resources()[DEPLOYER], ADMIN: resources(ADMIN)[ADMIN]}
    assert resources(other, ADMIN)[ADMIN] == resources(ADMIN)[ADMIN]


def test_the_session_of_a_role_is_let_in_as_its_role_with_its_path():
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_0a1b/jane"
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0a1b"
    results: InvokeResults = INVOKE_RESULTS | {
        "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {"accountId": ACCOUNT, "arn": session},
        "aws:iam/getSessionContext:getSessionContext": lambda args: {"issuerArn": {session: role}[args["arn"]]},
    }
    assert entries(world(admins=[role], invoke_results=results)) == [role]


def test_an_administrator_of_an_older_state_keeps_the_entry(new: World):
    """Until 0.1 it was named by its number in the list."""
    aliases = {each.name: each.aliases for each in new.resources if ADMIN in each.inputs.values()}
    assert {name.rpartition("-")[2]: [urn.rpartition("::")[2] for urn in urns] for name, urns in aliases.items()} == {
        "entry": ["cluster-admin-1-entry"],
        "policy": ["cluster-admin-1-policy"],
    }


def test_the_kubeconfig_is_a_secret_and_holds_a_command_instead_of_a_token(new: World):
    held = new["cluster-provider"].inputs["kubeconfig"]
    assert isinstance(held, Secret)
    (user,) = json.loads(held.value)["users"]
    assert user["user"] == {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "aws",
            "args": [
                *("eks", "get-token", "--cluster-name", "corral-prod"),
                *("--region", "us-east-1", "--output", "json"),
            ],
            "interactiveMode": "Never",
        }
    }


def test_a_secret_and_a_config_map_on_it_are_changed_in_place(new: World):
    provider = new["cluster-provider"].inputs
    assert (provider["enableSecretMutable"], provider["enableConfigMapMutable"]) == ("true", "true")


def test_network_policies_are_enforced(new: World):
    assert new["cluster-network-policies"].inputs["data"] == {"enable-network-policy-controller": "true"}


def test_nodes_with_gpus_may_join_and_go_before_the_cluster(new: World):
    assert new["vllm-nodes-entry"].inputs["type"] == "EC2"
    assert new["vllm-nodes-joining"].inputs["policyArn"].endswith("AmazonEKSAutoNodePolicy")
    before = names(new, new["vllm-nodes-class"].dependencies)
    assert {"cluster-cluster", "vllm-nodes-joining", "vllm-nodes-node-AmazonEC2ContainerRegistryPullOnly"} <= before
    assert "vllm-nodes-class" in names(new, new["vllm-nodes-pool"].dependencies)


def test_a_network_has_a_private_and_a_public_subnet_per_zone(new: World):
    subnets = {each.name.removeprefix("cluster-network-"): each.inputs for each in new.of_type("Subnet")}
    assert {name: (each["availabilityZone"], each["cidrBlock"]) for name, each in subnets.items()} == {
        "1-private": ("us-east-1a", "10.64.0.0/20"),
        "2-private": ("us-east-1b", "10.64.16.0/20"),
        "3-private": ("us-east-1c", "10.64.32.0/20"),
        "1-public": ("us-east-1a", "10.64.240.0/24"),
        "2-public": ("us-east-1b", "10.64.241.0/24"),
        "3-public": ("us-east-1c", "10.64.242.0/24"),
    }
    assert not any(each["mapPublicIpOnLaunch"] for each in subnets.values())
    assert {each.ignore_changes for each in new.of_type("Subnet")} == {("availabilityZone",)}
    assert subnets["1-private"]["tags"]["kubernetes.io/role/internal-elb"] == "1"
    assert subnets["1-public"]["tags"]["kubernetes.io/role/elb"] == "1"


SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/docker-hub-AbCdEf"
PULL_THROUGH = PullThrough.model_validate({"pullThrough": {"dockerHub": SECRET}})
S3 = {"com.amazonaws.us-east-1.s3": "Gateway"}
ECR = {f"com.amazonaws.us-east-1.ecr.{service}": "Interface" for service in ("api", "dkr")}


@pytest.fixture(scope="module")
def cached() -> World:
    return world(gpus=Gpus(instance="g6e.12xlarge", min=1, max=4), registry=PULL_THROUGH)


def mirror(name: str) -> Registry:
    return Registry.model_validate({"mirror": name})


@pytest.mark.parametrize(
    ("registry", "endpoints"),
    [
        (None, S3),
        (mirror("registry.example.com"), S3),
        (mirror("123456789012.dkr.ecr.eu-west-1.amazonaws.com"), S3),
        (mirror("123456789012.dkr.ecr.us-east-1.amazonaws.com/mirror"), S3 | ECR),
        (PULL_THROUGH, S3 | ECR),
    ],
    ids=["their publishers", "a mirror", "ECR elsewhere", "ECR in the region", "a cache in ECR"],
)
def test_endpoints_are_paid_for_where_images_come_through_them(
    registry: Registry | PullThrough | None, endpoints: Mapping[str, str]
):
    seen = world(registry=registry).of_type("VpcEndpoint")
    assert {each.inputs["serviceName"]: each.inputs["vpcEndpointType"] for each in seen} == endpoints


def test_a_cache_has_a_rule_for_each_registry_of_which_ecr_knows_or_has_credentials(cached: World):
    rules = {each.inputs["ecrRepositoryPrefix"]: each.inputs for each in cached.of_type("PullThroughCacheRule")}
    assert {prefix: (each["upstreamRegistryUrl"], each.get("credentialArn")) for prefix, each in rules.items()} == {
        "corral-prod/quay.io": ("quay.io", None),
        "corral-prod/registry.k8s.io": ("registry.k8s.io", None),
        "corral-prod/public.ecr.aws": ("public.ecr.aws", None),
        "corral-prod/docker.io": ("registry-1.docker.io", SECRET),
    }


def test_every_node_may_fill_the_cache_of_its_stack_and_no_other(cached: World):
    filling = {each.name: each.inputs for each in cached.of_type("RolePolicy") if each.name.endswith("-caching")}
    assert {name: each["role"] for name, each in filling.items()} == {
        "cluster-node-caching": cached["cluster-node-role"].inputs["name"],
        "vllm-nodes-caching": cached["vllm-nodes-node-role"].inputs["name"],
    }
    for each in filling.values():
        assert json.loads(each["policy"])["Statement"] == [
            {
                "Effect": "Allow",
                "Action": ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"],
                "Resource": [f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/corral-prod/*"],
            }
        ]
    before = names(cached, cached["vllm-nodes-class"].dependencies)
    assert {"vllm-nodes-caching", "cluster-images-docker.io"} <= before


@pytest.mark.parametrize("stack", ["prod", "Ein sehr langer Name", "a" * 60])
def test_the_prefix_of_a_rule_is_one_that_ecr_takes(stack: str):
    def program() -> None:
        ImageCache("images", ImageCacheArgs(stack, PULL_THROUGH, "us-east-1", ACCOUNT))

    model: Any = botocore.session.Session().get_service_model("ecr").operation_model("CreatePullThroughCacheRule")
    shape = model.input_shape.members["ecrRepositoryPrefix"].metadata
    rules = run(program).of_type("PullThroughCacheRule")
    assert rules
    for rule in rules:
        prefix = rule.inputs["ecrRepositoryPrefix"]
        assert (re.fullmatch(shape["pattern"], prefix) is not None, len(prefix) <= shape["max"]) == (True, True)


def test_nothing_is_let_in_from_the_internet(cached: World):
    rules = [rule for each in cached.of_type("SecurityGroup") for rule in each.inputs["ingress"]]
    assert [rule["cidrBlocks"] for rule in rules] == [["10.64.0.0/16"]]


def test_the_zones_are_those_that_offer_the_gpu_nodes():
    zones: InvokeResults = {
        "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _: {
            "names": [f"us-east-1{zone}" for zone in "abcd"]
        },
        "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": lambda _: {
            "locations": ["us-east-1d", "us-east-1b"]
        },
    }
    gpus = Gpus(instance="g6e.12xlarge", min=1, max=4)
    seen = world(gpus=gpus, invoke_results={**INVOKE_RESULTS, **zones}, network={"zones": 3})
    placed = {each.inputs["availabilityZone"] for each in seen.of_type("aws:ec2/subnet:Subnet")}
    assert placed == {"us-east-1a", "us-east-1b", "us-east-1d"}


def test_a_region_with_too_few_zones_is_said_to_have_them():
    with pytest.raises(pulumi.RunError, match="us-east-1 has 3 zones for a cluster, not 4: lower corral:cluster"):
        world(network={"zones": 4})


def test_in_a_vpc_that_is_there_no_network_is_made():
    seen = world(network=GIVEN)
    assert seen.of_type("Vpc") == ()
    assert seen["cluster-cluster"].inputs["vpcConfig"]["subnetIds"] == GIVEN["subnets"]


def test_of_two_subnets_in_a_zone_that_are_there_an_endpoint_takes_one():
    zones = dict(zip(("subnet-a0", "subnet-a1", "subnet-b0"), ("us-east-1a", "us-east-1a", "us-east-1b"), strict=True))
    seen: list[Any] = []

    def program() -> None:
        given = EksCluster.model_validate({"network": {"vpc": "vpc-0a", "subnets": [*zones]}})
        seen.append(Eks("cluster", EksArgs("prod", given, "us-east-1", TAGS, (), None)).vpc)

    subnet: InvokeResults = {
        "aws:ec2/getSubnet:getSubnet": lambda args: {"id": args["id"], "availabilityZone": zones[args["id"]]}
    }
    run(program, invoke_results=INVOKE_RESULTS | subnet)
    assert (seen[0].subnets, seen[0].one_per_zone) == ([*zones], ["subnet-a0", "subnet-b0"])


def test_nodes_carry_the_tags_of_the_stack_and_eks_may_give_them_before_there_is_one(new: World):
    assert new["vllm-nodes-class"].inputs["spec"]["tags"] == TAGS
    assert new["cluster-tagging"].inputs["role"] == new["cluster-control-role"].inputs["name"]
    assert "cluster-tagging" in names(new, new["vllm-nodes-class"].dependencies)


def test_everything_that_can_have_tags_has_them(new: World):
    untagged = ("RolePolicy", "RolePolicyAttachment", "RouteTableAssociation", "AccessPolicyAssociation")
    missing = [
        each.name
        for each in new.resources
        if each.type.startswith("aws:")
        and not each.type.endswith(tuple(f":{kind}" for kind in untagged))
        and not TAGS.items() <= each.inputs.get("tags", {}).items()
    ]
    assert missing == []


def test_the_number_of_pods_can_follow_their_load(new: World):
    """EKS brings no metrics-server along."""
    addon = new["cluster-metrics-server"].inputs
    assert (addon["addonName"], addon["clusterName"]) == ("metrics-server", "corral-prod")


def test_nothing_is_asked_of_the_cluster_until_its_api_server_lets_the_deployer_in(new: World):
    let_in = new["cluster-let-in"]
    assert {key: value for key, value in let_in.inputs.items() if key != "__provider"} == {
        "name": "corral-prod",
        "endpoint": "https://cluster-cluster-endpoint.example.com",
        "certificate": "cluster-cluster-certificateAuthority-data",
        "command": [
            *("aws", "eks", "get-token", "--cluster-name", "corral-prod"),
            *("--region", "us-east-1", "--output", "json"),
        ],
        "access": [DEPLOYER, ADMIN],
        "preview": False,
    }
    assert {each.urn for each in new.resources if "-admin-" in each.name} <= let_in.dependencies
    assert "cluster-let-in" in names(new, new["cluster-provider"].dependencies)
