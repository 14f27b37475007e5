"""A new cluster on EKS Auto Mode, which runs nodes, volumes and load balancers itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from typing_extensions import override

from corral.cluster.gpu_nodes import GpuNodes, GpuNodesArgs
from corral.cluster.network import Network, NetworkArgs
from corral.cluster.roles import CONTROL_PLANE, NODES, PodIdentity, PodIdentityArgs, role
from corral.config.cluster import EksCluster, GivenVpc
from corral.config.hosts import Gpus
from corral.hosts.base import ClusterComponent, Vpc, labels
from corral.hosts.iam import Statement, policy
from corral.hosts.naming import CLUSTER, ROLE, physical

_ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")


@dataclass(frozen=True)
class EksArgs:
    """What the stack says of its cluster."""

    stack: str
    cluster: EksCluster
    region: str
    tags: Mapping[str, str]


class Eks(ClusterComponent):
    """A cluster with its network, roles, encryption, logs and access, and a provider for what runs on it.

    Leaves to others: everything that runs on it.  The API server answers within the VPC only, unless the stack says
    from where else.  Secrets are encrypted with a key of the cluster's own.  Network policies are enforced, which Auto
    Mode does not do by itself.

    Everything on the cluster depends on `ready`, so that it is deleted while the cluster still can: load balancers and
    nodes that outlive it would keep the network from being deleted.
    """

    network = "eks"
    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    """A secret, though what it holds is a command that gets a token."""

    def __init__(self, name: str, args: EksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:Eks", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._args = args
        self._title = physical("corral", args.stack, limit=CLUSTER)
        said, tags = args.cluster, args.tags
        vpc_id, subnets, ways_out = self._network(name)
        control, attached = role(
            f"{name}-control",
            "eks.amazonaws.com",
            CONTROL_PLANE,
            physical_name=physical(self._title, "control", limit=ROLE),
            tags=tags,
            opts=child,
        )
        nodes, nodes_attached = role(
            f"{name}-node",
            "ec2.amazonaws.com",
            NODES,
            physical_name=physical(self._title, "node", limit=ROLE),
            tags=tags,
            opts=child,
        )
        key = aws.kms.Key(
            f"{name}-secrets",
            description=f"Secrets of the cluster {self._title}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            tags=tags,
            opts=child,
        )
        encrypting = aws.iam.RolePolicy(
            f"{name}-encrypting",
            role=control.name,
            policy=policy(
                [Statement(["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"], [key.arn], {})]
            ),
            opts=child,
        )
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/eks/{self._title}/cluster",
            retention_in_days=said.retention_days,
            tags=tags,
            opts=child,
        )
        before: list[pulumi.Resource] = [*attached, *nodes_attached, encrypting, logs, *ways_out]
        cluster = aws.eks.Cluster(
            f"{name}-cluster",
            name=self._title,
            version=said.version,
            role_arn=control.arn,
            bootstrap_self_managed_addons=False,
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": True},
            compute_config={
                "enabled": True,
                "node_pools": ["general-purpose", "system"],
                "node_role_arn": nodes.arn,
            },
            kubernetes_network_config={"elastic_load_balancing": {"enabled": True}},
            storage_config={"block_storage": {"enabled": True}},
            vpc_config={
                "subnet_ids": list(subnets),
                "endpoint_private_access": True,
                "endpoint_public_access": bool(said.public_from),
                "public_access_cidrs": said.public_from or None,
            },
            encryption_config={"provider": {"key_arn": key.arn}, "resources": ["secrets"]},
            enabled_cluster_log_types=list(_LOGS),
            upgrade_policy={"support_type": "STANDARD"},
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        self.name = cluster.name
        self.vpc = self._vpc = Vpc(vpc_id, args.region, subnets, cluster.vpc_config.cluster_security_group_id)
        admitted = [
            each for number, arn in enumerate(said.admins, 1) for each in self._admit(f"{name}-admin-{number}", arn)
        ]
        self.kubeconfig = pulumi.Output.secret(_kubeconfig(cluster, args.region))
        self.provider = kubernetes.Provider(
            f"{name}-provider",
            kubeconfig=self.kubeconfig,
            cluster_identifier=cluster.arn,
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[cluster, *before, *admitted]),
        )
        policies = kubernetes.core.v1.ConfigMap(
            f"{name}-network-policies",
            metadata={"name": "amazon-vpc-cni", "namespace": "kube-system", "labels": labels(tags)},
            data={"enable-network-policy-controller": "true"},
            opts=pulumi.ResourceOptions(parent=self, provider=self.provider, depends_on=[cluster, *before, *admitted]),
        )
        self.ready = (cluster, *before, *admitted, policies)
        self.prometheus = said.prometheus
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig})

    @override
    def gpu_nodes(self, host: str, gpus: Gpus, count: int, parent: pulumi.Resource) -> Sequence[pulumi.Resource]:
        nodes = GpuNodes(
            f"{host}-nodes",
            GpuNodesArgs(
                host=host,
                gpus=gpus,
                count=count,
                cluster_name=self.name,
                title=self._title,
                subnets=self._vpc.subnets,
                security_group=self._vpc.pods,
                provider=self.provider,
                ready=self.ready,
                tags=self._args.tags,
            ),
            pulumi.ResourceOptions(parent=parent),
        )
        return (nodes.pool,)

    @override
    def identity(
        self,
        name: str,
        namespace: str,
        service_account: str,
        statements: Sequence[Statement],
        parent: pulumi.Resource,
        documents: Sequence[pulumi.Input[str]] = (),
    ) -> Sequence[pulumi.Resource]:
        made = PodIdentity(
            name,
            PodIdentityArgs(
                cluster_name=self.name,
                cluster=self._title,
                namespace=namespace,
                service_account=service_account,
                statements=statements,
                documents=documents,
                tags=self._args.tags,
            ),
            pulumi.ResourceOptions(parent=parent),
        )
        return (made.association,)

    def _network(self, name: str) -> tuple[pulumi.Input[str], Sequence[pulumi.Input[str]], Sequence[pulumi.Resource]]:
        """The VPC's id, the subnets of the nodes, and what must outlive these."""
        said = self._args.cluster.network
        if isinstance(said, GivenVpc):
            return said.vpc, said.subnets, ()
        made = Network(
            f"{name}-network",
            NetworkArgs(vpc=said, region=self._args.region, title=self._title, tags=self._args.tags),
            pulumi.ResourceOptions(parent=self),
        )
        self.public_addresses = made.public_addresses
        return made.vpc_id, made.private_subnets, made.ways_out

    def _admit(self, name: str, arn: str) -> list[pulumi.Resource]:
        """An administrator of the cluster."""
        entry = aws.eks.AccessEntry(
            f"{name}-entry",
            cluster_name=self.name,
            principal_arn=arn,
            type="STANDARD",
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        allowed = aws.eks.AccessPolicyAssociation(
            f"{name}-policy",
            cluster_name=self.name,
            principal_arn=arn,
            policy_arn=_ADMIN,
            access_scope={"type": "cluster"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )
        return [entry, allowed]


def _kubeconfig(cluster: aws.eks.Cluster, region: str) -> pulumi.Output[str]:
    """A kubeconfig without a token in it: the AWS CLI gets one each time."""
    command: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["eks", "get-token", "--cluster-name", cluster.name, "--region", region, "--output", "json"],
        "interactiveMode": "Never",
    }
    return pulumi.Output.json_dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "corral",
            "clusters": [
                {
                    "name": "corral",
                    "cluster": {
                        "server": cluster.endpoint,
                        "certificate-authority-data": cluster.certificate_authority.data,
                    },
                }
            ],
            "contexts": [{"name": "corral", "context": {"cluster": "corral", "user": "corral"}}],
            "users": [{"name": "corral", "user": {"exec": command}}],
        }
    )
