"""The operations by which an engine would get from one world to another: create, update, replace, delete.

Policy.  Two resources with one URN, or with an alias of it, are the same.  It is updated where its inputs differ, and
replaced where they differ in what its provider cannot change in place.  An engine asks the provider for that; offline
the table below says it, for the types that the components make: Kubernetes objects by the API's own rule (an object is
identified by kind, name and namespace), AWS and Azure resources by their providers' documentation, which speaks of a
property that forces a new resource.  A type that is not in the table is updated.

A replaced resource has another id, which changes whatever uses it, and what uses that in turn; `follow` names them, but
not how they change.  Whether the cloud still is as the first world says is not checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from corral.testing.recording import Recorded, World, walk

_KUBERNETES = ("apiVersion", "kind", "metadata.name", "metadata.namespace")

_IMMUTABLE: dict[str, tuple[str, ...]] = {
    "kubernetes:apps/v1:Deployment": ("spec.selector",),
    "kubernetes:core/v1:PersistentVolumeClaim": ("spec.accessModes", "spec.storageClassName", "spec.volumeName"),
    "kubernetes:core/v1:Secret": ("type",),
    "kubernetes:storage.k8s.io/v1:StorageClass": ("parameters", "provisioner", "volumeBindingMode"),
    "kubernetes:helm.sh/v3:Release": ("name", "namespace"),
    "aws:bedrock/inferenceProfile:InferenceProfile": ("name", "modelSource", "description"),
    "aws:cloudwatch/logGroup:LogGroup": ("name",),
    "aws:ec2/eip:Eip": ("domain",),
    "aws:ec2/natGateway:NatGateway": ("allocationId", "subnetId", "connectivityType"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("subnetId",),
    "aws:ec2/securityGroup:SecurityGroup": ("name", "description", "vpcId"),
    "aws:ec2/subnet:Subnet": ("availabilityZone", "cidrBlock", "vpcId"),
    "aws:ec2/vpc:Vpc": ("cidrBlock",),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("serviceName", "vpcEndpointType", "vpcId"),
    "aws:eks/accessEntry:AccessEntry": ("clusterName", "principalArn", "type"),
    "aws:eks/cluster:Cluster": ("name", "roleArn", "encryptionConfig", "bootstrapSelfManagedAddons"),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("clusterName", "namespace", "serviceAccount"),
    "aws:iam/role:Role": ("name", "path"),
    "aws:iam/rolePolicy:RolePolicy": ("name", "role"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("policyArn", "role"),
    "aws:s3/bucket:Bucket": ("bucket",),
    "azure-native:cognitiveservices:Account": ("accountName", "kind", "location", "resourceGroupName"),
    "azure-native:cognitiveservices:Deployment": ("accountName", "deploymentName", "resourceGroupName"),
    "azure-native:resources:ResourceGroup": ("location", "resourceGroupName"),
}


def _replaces(resource: Recorded, properties: Collection[str]) -> bool:
    """Whether a difference in these properties (paths) needs another resource in place of this one."""
    immutable = (*_IMMUTABLE.get(resource.type, ()), *resource.replace_on_changes)
    if resource.type.startswith("kubernetes:"):
        immutable += _KUBERNETES
    return any(_lies_in(path, each) for path in properties for each in immutable)


def _lies_in(path: str, part: str) -> bool:
    """Whether a path is that of the part or of something in it: `spec.replicas` lies in `spec`."""
    return part == "*" or path == part or path.startswith((f"{part}.", f"{part}["))


@dataclass(frozen=True)
class Change:
    """One resource that would be touched."""

    type: str
    name: str
    properties: tuple[str, ...]
    """The paths that differ, in order; empty where the whole resource comes or goes.  Values are never shown."""


@dataclass(frozen=True)
class Changes:
    """All that would be touched, each in order of type and name."""

    create: tuple[Change, ...] = ()
    update: tuple[Change, ...] = ()
    replace: tuple[Change, ...] = ()
    delete: tuple[Change, ...] = ()
    follow: tuple[Change, ...] = ()
    """What uses one that is replaced, and is in none of the others."""

    def __bool__(self) -> bool:
        return bool(self.create or self.update or self.replace or self.delete)


def changes(before: World, after: World) -> Changes:
    """What would be touched; what a program only looks up is not."""
    old = {resource.urn: resource for resource in before.resources if not resource.read}
    pairs = [(_earlier(resource, old), resource) for resource in after.resources if not resource.read]
    kept = {earlier.urn for earlier, _ in pairs if earlier}
    created = [later for earlier, later in pairs if earlier is None]
    differing = [
        (later, properties) for earlier, later in pairs if earlier and (properties := _differing(earlier.inputs, later))
    ]
    replaced = [each for each in differing if _replaces(*each)]
    touched = {resource.urn for resource in (*created, *(later for later, _ in differing))}
    following = _users(after, {resource.urn for resource, _ in replaced})
    return Changes(
        create=_sorted((resource, ()) for resource in created),
        update=_sorted(each for each in differing if each not in replaced),
        replace=_sorted(replaced),
        delete=_sorted((resource, ()) for urn, resource in old.items() if urn not in kept),
        follow=_sorted((resource, ()) for resource in following if resource.urn not in touched),
    )


def _earlier(resource: Recorded, old: Mapping[str, Recorded]) -> Recorded | None:
    return next((old[urn] for urn in (resource.urn, *resource.aliases) if urn in old), None)


def _differing(earlier: Mapping[str, Any], later: Recorded) -> tuple[str, ...]:
    """The paths at which a leaf is another one, is there now, or is there no more; not those the resource ignores."""
    one, other = _leaves(earlier), _leaves(later.inputs)
    paths = {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}
    return tuple(sorted(path for path in paths if not any(_lies_in(path, each) for each in later.ignore_changes)))


def _leaves(inputs: Mapping[str, Any]) -> dict[str, object]:
    return {path: (type(value), value, secret) for path, value, secret in walk(inputs)}


def _users(world: World, urns: set[str]) -> Iterator[Recorded]:
    """The resources that use one of these, or one that does, and so on."""
    pending = set(urns)
    rest = [resource for resource in world.resources if not resource.read and resource.urn not in urns]
    while pending:
        users = [resource for resource in rest if resource.uses & pending]
        yield from users
        pending = {resource.urn for resource in users}
        rest = [resource for resource in rest if resource.urn not in pending]


def _sorted(resources: Iterable[tuple[Recorded, tuple[str, ...]]]) -> tuple[Change, ...]:
    changed = (Change(resource.type, resource.name, properties) for resource, properties in resources)
    return tuple(sorted(changed, key=lambda change: (change.type, change.name)))
