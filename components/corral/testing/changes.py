"""Which properties a provider cannot change in place: a resource that differs in one of them is replaced.

An engine asks the provider; offline there is nobody to ask.  What is written here holds for the types that the
components make: Kubernetes objects by the API's own rule (an object is found by kind, name and namespace), AWS and
Azure resources by their providers' documentation, which calls such a property one that forces a new resource.  A type
that is not here is taken to be updated.

What an engine would do to get from one recording to another: create, update, replace, delete.

Found without an engine: two resources with one URN, or with an alias of it, are the same; it is updated if what it is
given differs, and replaced if it differs in what its provider cannot change in place.  What follows from a replacement
(another id, given on to others) is not foreseen, and whether the cloud still looks as the first recording says is not
asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from corral.testing.recording import Recorded, Recording, walk

_KUBERNETES = ("apiVersion", "kind", "metadata.name", "metadata.namespace")

_FIXED: dict[str, tuple[str, ...]] = {
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


def replaces(resource: Recorded, properties: Collection[str]) -> bool:
    """Whether a difference in these properties (paths) needs another resource in place of this one."""
    fixed = (*_FIXED.get(resource.type, ()), *resource.replace_on_changes)
    if resource.type.startswith("kubernetes:"):
        fixed += _KUBERNETES
    return any(lies_in(path, each) for path in properties for each in fixed)


def lies_in(path: str, part: str) -> bool:
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

    def __bool__(self) -> bool:
        return bool(self.create or self.update or self.replace or self.delete)


def changes(before: Recording, after: Recording) -> Changes:
    """What would be touched; what a program only looks up is not."""
    old = {resource.urn: resource for resource in before.resources if not resource.read}
    pairs = [(_earlier(resource, old), resource) for resource in after.resources if not resource.read]
    kept = {earlier.urn for earlier, _ in pairs if earlier}
    differing = [
        (later, properties) for earlier, later in pairs if earlier and (properties := _differing(earlier.inputs, later))
    ]
    return Changes(
        create=_sorted((later, ()) for earlier, later in pairs if earlier is None),
        update=_sorted(each for each in differing if not replaces(*each)),
        replace=_sorted(each for each in differing if replaces(*each)),
        delete=_sorted((resource, ()) for urn, resource in old.items() if urn not in kept),
    )


def _earlier(resource: Recorded, old: Mapping[str, Recorded]) -> Recorded | None:
    return next((old[urn] for urn in (resource.urn, *resource.aliases) if urn in old), None)


def _differing(earlier: Mapping[str, Any], later: Recorded) -> tuple[str, ...]:
    """The paths at which a leaf is another one, is there now, or is there no more; not those the resource ignores."""
    one, other = dict(_leaves(earlier)), dict(_leaves(later.inputs))
    paths = (
        path for path in one.keys() | other.keys() if path not in one or path not in other or one[path] != other[path]
    )
    return tuple(sorted(path for path in paths if not any(lies_in(path, each) for each in later.ignore_changes)))


def _leaves(inputs: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for path, value, secret in walk(inputs):
        yield path, (type(value), value, secret)


def _sorted(found: Iterable[tuple[Recorded, tuple[str, ...]]]) -> tuple[Change, ...]:
    made = (Change(resource.type, resource.name, properties) for resource, properties in found)
    return tuple(sorted(made, key=lambda change: (change.type, change.name)))
