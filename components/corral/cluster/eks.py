"""A new cluster on EKS Auto Mode, which runs nodes, volumes and load balancers itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from typing_extensions import override

from corral.cluster.access import LetIn
from corral.cluster.gpu_nodes import GpuNodes, GpuNodesArgs
from corral.cluster.image_cache import ImageCache, ImageCacheArgs, pays
from corral.cluster.network import Network, NetworkArgs
from corral.cluster.roles import (
    CONTROL_PLANE,
    CUSTOM_TAGS,
    NODES,
    PodIdentity,
    PodIdentityArgs,
    administrators,
    admit,
    for_cluster,
    role,
)
from corral.config.cluster import EksCluster, GivenVpc
from corral.config.hosts import Gpus
from corral.config.registry import PullThrough, Registry
from corral.hosts.base import ClusterComponent, Vpc
from corral.hosts.iam import Statement, policy
from corral.hosts.naming import CLUSTER_LENGTH, labels, physical

_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")


@dataclass(frozen=True)
class EksArgs:
    """What the stack says of its cluster."""

    stack: str
    cluster: EksCluster
    region: str
    tags: Mapping[str, str]
    instances: Sequence[str]
    """The types of the GPU nodes of the stack's hosts, for the choice of zones."""
    registry: Registry | PullThrough | None
    """Where images come from, where not from those who publish them."""


class Eks(ClusterComponent):
    """A cluster with its network, roles, encryption, logs and access, and a provider for what runs on it.

    Leaves to others: everything that runs on it.  The API server answers within the VPC, and where else the stack says;
    nobody is let in but whoever runs Pulumi and those whom the stack names.  Secrets are encrypted with a key of the
    cluster's own.  Network policies are enforced, which Auto Mode does not do by itself.

    Everything on the cluster depends on `ready`, so that it is deleted while the cluster still can: load balancers and
    nodes that outlive it would keep the network from being deleted.
    """

    network = "eks"
    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    """A secret, though what it holds is a command that gets a token."""
    _node_policy: pulumi.Output[str] | None = None
    """What nodes may do besides what every node may."""

    def __init__(self, name: str, args: EksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:Eks", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._title = physical("corral", args.stack, limit=CLUSTER_LENGTH)
        caller = aws.get_caller_identity(opts=pulumi.InvokeOptions(parent=self))
        self.account = caller.account_id
        self._arn = f"arn:aws:eks:{args.region}:{caller.account_id}:cluster/{self._title}"
        vpc_id, subnets, ways_out = self._network(name)
        control, control_policies = role(
            f"{name}-control",
            "eks.amazonaws.com",
            CONTROL_PLANE,
            (self._title, "control"),
            args.tags,
            self._child,
            for_cluster(self._arn),
        )
        nodes, node_policies = role(
            f"{name}-node", "ec2.amazonaws.com", NODES, (self._title, "node"), args.tags, self._child
        )
        tagging = aws.iam.RolePolicy(f"{name}-tagging", role=control.name, policy=CUSTOM_TAGS, opts=self._child)
        caching = self._caching(name, caller.account_id, nodes)
        key, encrypting = self._encryption(name, control)
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/eks/{self._title}/cluster",
            retention_in_days=args.cluster.retention_days,
            tags=args.tags,
            opts=self._child,
        )
        before = [*control_policies, *node_policies, *caching, tagging, encrypting, logs, *ways_out]
        cluster = self._cluster(f"{name}-cluster", control, nodes, key, subnets, before)
        self.name = cluster.name
        pods = cluster.vpc_config.cluster_security_group_id
        self.vpc = self._vpc = Vpc(vpc_id, args.region, subnets, self._one_per_zone(subnets), pods)
        prerequisites = [cluster, *before]
        admins = administrators(name, caller.arn, args.cluster.admins, pulumi.InvokeOptions(parent=self))
        admitted = self._admit(name, admins)
        in_region = ("--region", args.region, "--output", "json")
        command = ("aws", "eks", "get-token", "--cluster-name", cluster.name, *in_region)
        let_in = LetIn(
            f"{name}-let-in",
            cluster,
            command,
            (*args.cluster.public_ranges, *admins.values()),
            pulumi.ResourceOptions(parent=self, depends_on=admitted),
        )
        prerequisites += [*admitted, let_in]
        self.kubeconfig = pulumi.Output.secret(_kubeconfig(cluster, command))
        self.provider = self.connect(
            f"{name}-provider",
            pulumi.ResourceOptions(parent=self, depends_on=prerequisites),
            kubeconfig=self.kubeconfig,
            cluster_identifier=cluster.arn,
        )
        policies = kubernetes.core.v1.ConfigMap(
            f"{name}-network-policies",
            metadata={"name": "amazon-vpc-cni", "namespace": "kube-system", "labels": labels(args.tags)},
            data={"enable-network-policy-controller": "true"},
            opts=pulumi.ResourceOptions(parent=self, provider=self.provider, depends_on=prerequisites),
        )
        self.ready = (*prerequisites, policies)
        aws.eks.Addon(  # what the number of Envoys follows; EKS brings none along
            f"{name}-metrics-server",
            cluster_name=self.name,
            addon_name="metrics-server",
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=prerequisites),
        )
        self.prometheus = args.cluster.prometheus
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig})

    @override
    def gpu_nodes(self, host: str, gpus: Gpus, count: int, parent: pulumi.Resource) -> Sequence[pulumi.Resource]:
        args = GpuNodesArgs(
            host=host,
            gpus=gpus,
            count=count,
            cluster_name=self.name,
            title=self._title,
            vpc=self._vpc,
            provider=self.provider,
            ready=self.ready,
            policy=self._node_policy,
            tags=self._args.tags,
        )
        return GpuNodes(f"{host}-nodes", args, pulumi.ResourceOptions(parent=parent)).pools

    @override
    def identity(
        self,
        name: str,
        namespace: str,
        service_account: str,
        policies: Sequence[pulumi.Input[str]],
        parent: pulumi.Resource,
    ) -> tuple[Sequence[pulumi.Resource], Sequence[pulumi.Resource]]:
        args = PodIdentityArgs(
            cluster_name=self.name,
            cluster_arn=self._arn,
            title=self._title,
            namespace=namespace,
            service_account=service_account,
            policies=policies,
            tags=self._args.tags,
        )
        identity = PodIdentity(name, args, pulumi.ResourceOptions(parent=parent))
        return (identity.association,), identity.permissions

    def _admit(self, name: str, admins: Mapping[str, str]) -> list[pulumi.Resource]:
        """Lets the administrators in, each by an entry of its own: EKS refuses a second one for a principal."""
        admitted: list[pulumi.Resource] = []
        before = self._args.cluster.admins
        for each, arn in admins.items():
            number = before.index(arn) + 1 if arn in before else 0
            admitted += admit(
                (f"{each}-entry", f"{each}-policy"),
                self.name,
                arn,
                "STANDARD",
                "AmazonEKSClusterAdminPolicy",
                self._args.tags,
                self._child,
                before=(f"{name}-admin-{number}-entry", f"{name}-admin-{number}-policy") if number else None,
            )
        return admitted

    def _network(self, name: str) -> tuple[pulumi.Input[str], Sequence[pulumi.Input[str]], Sequence[pulumi.Resource]]:
        """The VPC's id, the subnets of the nodes, and what must outlive these."""
        vpc = self._args.cluster.network
        if isinstance(vpc, GivenVpc):
            return vpc.vpc, vpc.subnets, ()
        from_ecr = pays(self._args.registry, self._args.region)
        args = NetworkArgs(vpc, self._args.region, self._title, self._args.tags, self._args.instances, from_ecr)
        network = Network(f"{name}-network", args, self._child)
        self.public_addresses = network.public_addresses
        return network.vpc_id, network.private_subnets, network.ways_out

    def _caching(self, name: str, account: str, nodes: aws.iam.Role) -> Sequence[pulumi.Resource]:
        """The cache of images, where the stack has one, and the right of the nodes to fill it."""
        registry = self._args.registry
        if not isinstance(registry, PullThrough):
            return ()
        args = ImageCacheArgs(self._args.stack, registry, self._args.region, account)
        cache = ImageCache(f"{name}-images", args, self._child)
        self.cache, self._node_policy = cache.registry, cache.node_policy
        filling = aws.iam.RolePolicy(
            f"{name}-node-caching", role=nodes.name, policy=cache.node_policy, opts=self._child
        )
        return (*cache.rules, filling)

    def _one_per_zone(self, subnets: Sequence[pulumi.Input[str]]) -> Sequence[pulumi.Input[str]]:
        """Of subnets that are there several may be in one zone; those that the stack makes are one for each."""
        if not isinstance(self._args.cluster.network, GivenVpc):
            return subnets
        by_zone: dict[str, str] = {}
        for subnet in self._args.cluster.network.subnets:
            there = aws.ec2.get_subnet(id=subnet, opts=pulumi.InvokeOptions(parent=self))
            by_zone.setdefault(there.availability_zone, subnet)
        return [*by_zone.values()]

    def _encryption(self, name: str, control: aws.iam.Role) -> tuple[aws.kms.Key, pulumi.Resource]:
        """The key that secrets are encrypted with, and the control plane's permission to use it."""
        key = aws.kms.Key(
            f"{name}-secrets",
            description=f"Secrets of the cluster {self._title}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            tags=self._args.tags,
            opts=self._child,
        )
        use = Statement(["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"], [key.arn], {})
        return key, aws.iam.RolePolicy(f"{name}-encrypting", role=control.name, policy=policy([use]), opts=self._child)

    def _cluster(
        self,
        name: str,
        control: aws.iam.Role,
        nodes: aws.iam.Role,
        key: aws.kms.Key,
        subnets: Sequence[pulumi.Input[str]],
        before: Sequence[pulumi.Resource],
    ) -> aws.eks.Cluster:
        cluster = self._args.cluster
        return aws.eks.Cluster(
            name,
            name=self._title,
            version=cluster.version,
            role_arn=control.arn,
            bootstrap_self_managed_addons=False,
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
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
                "endpoint_public_access": bool(cluster.public_ranges),
                "public_access_cidrs": cluster.public_ranges or None,
            },
            encryption_config={"provider": {"key_arn": key.arn}, "resources": ["secrets"]},
            enabled_cluster_log_types=list(_LOGS),
            upgrade_policy={"support_type": "STANDARD"},
            tags=self._args.tags,
            # Until 0.1 it was true: another value would replace the cluster.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*before],
                ignore_changes=["accessConfig.bootstrapClusterCreatorAdminPermissions"],
            ),
        )


def _kubeconfig(cluster: aws.eks.Cluster, token: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
    """A kubeconfig without a token in it: a command of the AWS CLI prints one each time."""
    command: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": token[0],
        "args": [*token[1:]],
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
