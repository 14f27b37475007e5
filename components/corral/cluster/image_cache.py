"""A cache for images in ECR: nodes pull from the account itself, and a registry counts one pull for all of them.

A rule for each registry, whose images are below a prefix of the stack's own.  A node that is the first to pull an image
has ECR make its repository and import it, which takes two rights beside those of every node.  The repositories are
ECR's: they outlive the stack.
Source: Amazon ECR User Guide, "Sync an upstream registry" (which registries there are, and which ask for credentials)
and "IAM permissions required to sync an upstream registry"; botocore's model of CreatePullThroughCacheRule (URLs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from corral.config.registry import DOCKER_HUB, Cache, PullThrough, Registry
from corral.hosts.iam import Statement, policy
from corral.hosts.naming import physical

_OPEN = ("quay.io", "registry.k8s.io", "public.ecr.aws")
"""Those that ask nobody for credentials."""
_URLS = {DOCKER_HUB: "registry-1.docker.io"}
"""Of registries that ECR knows by another name."""
_PREFIX_LENGTH = 30
"""Characters of a rule's prefix (botocore, PullThroughCacheRuleRepositoryPrefix)."""


@dataclass(frozen=True)
class ImageCacheArgs:
    """What the stack says of it, and where it is."""

    stack: str
    pull_through: PullThrough
    region: str
    account: str


class ImageCache(pulumi.ComponentResource):
    """The rules, and what nodes have to be allowed.

    Leaves to others: the secrets with credentials, which never pass through Pulumi.
    """

    registry: Cache
    node_policy: pulumi.Output[str]
    rules: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: ImageCacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("corral:cluster:ImageCache", name, None, opts)
        credentials = args.pull_through.pull_through.credentials
        upstreams = (*_OPEN, *credentials)
        longest = max(map(len, upstreams))
        prefix = physical("corral", args.stack, limit=_PREFIX_LENGTH - 1 - longest)
        host = f"{args.account}.dkr.ecr.{args.region}.amazonaws.com"
        self.registry = Cache(mirror=f"{host}/{prefix}/{{registry}}", upstreams=frozenset(upstreams))
        self.rules = [
            aws.ecr.PullThroughCacheRule(
                f"{name}-{registry}",
                ecr_repository_prefix=f"{prefix}/{registry}",
                upstream_registry_url=_URLS.get(registry, registry),
                credential_arn=credentials.get(registry),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for registry in upstreams
        ]
        below = f"arn:aws:ecr:{args.region}:{args.account}:repository/{prefix}/*"
        importing = Statement(["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"], [below], {})
        self.node_policy = policy([importing])
        self.register_outputs({})


def pays(registry: Registry | PullThrough | None, region: str) -> bool:
    """Whether images come from ECR in this region, so that its endpoints spare what NAT gateways take for them."""
    return isinstance(registry, PullThrough) or (
        isinstance(registry, Registry) and registry.host.endswith(f".dkr.ecr.{region}.amazonaws.com")
    )
