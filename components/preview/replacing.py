"""Which properties a provider cannot change in place: a resource that differs in one of them is replaced.

An engine asks the provider; offline there is nobody to ask.  What is written here holds for the types that the
components make: Kubernetes objects by the API's own rule (an object is found by kind, name and namespace), AWS and
Azure resources by their providers' documentation, which calls such a property one that forces a new resource.  A type
that is not here is taken to be updated.
"""

from __future__ import annotations

from collections.abc import Collection

from components.preview.recording import Recorded

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
