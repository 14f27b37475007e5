from __future__ import annotations

import json

import pytest

from corral.cluster.roles import CUSTOM_TAGS, PodIdentity, PodIdentityArgs
from corral.hosts.iam import Statement, policy, trust
from corral.testing import run

CLUSTER = "arn:aws:eks:us-east-1:123456789012:cluster/corral-prod"
BEDROCK = Statement(
    ["bedrock:InvokeModel"], ["arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-3-70b-instruct-v1:0"], {}
)


def test_a_service_account_gets_a_role_with_a_policy_of_its_own():
    def program() -> None:
        PodIdentity(
            "gateway-identity",
            PodIdentityArgs(
                cluster_name="corral-prod",
                cluster_arn=CLUSTER,
                title="corral-prod",
                namespace="envoy-gateway-system",
                service_account="gateway",
                policies=[policy([BEDROCK])],
                tags={"corral-stack": "prod"},
            ),
        )

    seen = run(program)
    assert {each.type: dict(each.inputs) for each in seen.resources if each.custom} == {
        "aws:iam/role:Role": {
            "name": "corral-prod-envoy-gateway-system-gateway-0e636c",
            "assumeRolePolicy": trust(
                "pods.eks.amazonaws.com",
                condition={
                    "StringEquals": {
                        "aws:RequestTag/eks-cluster-arn": CLUSTER,
                        "aws:RequestTag/kubernetes-namespace": "envoy-gateway-system",
                        "aws:RequestTag/kubernetes-service-account": "gateway",
                    }
                },
            ),
            "tags": {"corral-stack": "prod"},
        },
        "aws:iam/rolePolicy:RolePolicy": {
            "role": "corral-prod-envoy-gateway-system-gateway-0e636c",
            "policy": json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Action": BEDROCK.actions, "Resource": BEDROCK.resources},
                    ],
                }
            ),
        },
        "aws:eks/podIdentityAssociation:PodIdentityAssociation": {
            "clusterName": "corral-prod",
            "namespace": "envoy-gateway-system",
            "serviceAccount": "gateway",
            "roleArn": seen["gateway-identity-association"].inputs["roleArn"],
            "tags": {"corral-stack": "prod"},
        },
    }
    assert seen["gateway-identity-policy-1"].urn not in seen["gateway-identity-association"].dependencies


def test_a_role_is_trusted_to_its_service_with_session_tags():
    (statement,) = json.loads(trust("pods.eks.amazonaws.com"))["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }


@pytest.mark.parametrize(
    "statement",
    [
        Statement(["bedrock:*"], BEDROCK.resources, {}),
        Statement(["*"], BEDROCK.resources, {}),
        Statement(BEDROCK.actions, ["*"], {}),
    ],
    ids=str,
)
def test_a_policy_with_a_wildcard_is_not_written(statement: Statement):
    with pytest.raises(ValueError, match="names its actions in full"):
        policy([statement])


OF_CLUSTER = {"aws:RequestTag/eks:eks-cluster-name": "${aws:PrincipalTag/eks:eks-cluster-name}"}


def test_eks_may_tag_nodes_by_the_statements_of_its_own_guide():
    """A statement that is wrong would stop every node with a GPU.

    Source: awsdocs/amazon-eks-user-guide, latest/ug/automode/auto-learn-iam.adoc, its first three statements.
    """
    assert json.loads(CUSTOM_TAGS) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Compute",
                "Effect": "Allow",
                "Action": ["ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateLaunchTemplate"],
                "Resource": "*",
                "Condition": {
                    "StringEquals": OF_CLUSTER,
                    "StringLike": {
                        "aws:RequestTag/eks:kubernetes-node-class-name": "*",
                        "aws:RequestTag/eks:kubernetes-node-pool-name": "*",
                    },
                },
            },
            {
                "Sid": "Storage",
                "Effect": "Allow",
                "Action": ["ec2:CreateVolume", "ec2:CreateSnapshot"],
                "Resource": ["arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*:*:snapshot/*"],
                "Condition": {"StringEquals": OF_CLUSTER},
            },
            {
                "Sid": "Networking",
                "Effect": "Allow",
                "Action": "ec2:CreateNetworkInterface",
                "Resource": "*",
                "Condition": {
                    "StringEquals": OF_CLUSTER,
                    "StringLike": {"aws:RequestTag/eks:kubernetes-cni-node-name": "*"},
                },
            },
        ],
    }
