"""Relations between what a cluster is to carry out and what can be provisioned: where it is made, with which
credentials, who calls what stands beside it, and how its gateway is reached.

They hold for a stack of the kubernetes engine alone, but for those of the gateway, which say what a key is for.
"""

from __future__ import annotations

from collections.abc import Collection

from corral.catalog.catalog import Catalog
from corral.config.cluster import (
    INSTALLED_PROMETHEUS,
    EksCluster,
    Gateway,
    HostedZoneCertificate,
    IssuedCertificate,
    KubeconfigCluster,
    LoadBalancerCertificate,
    NewVpc,
    Prometheus,
    Versions,
)
from corral.config.hosts import AzureHost, BedrockHost, VllmHost
from corral.config.problems import HOSTS, MODELS, SECRETS, Report, correction
from corral.config.registry import PullThrough, Upstreams
from corral.config.secret_store import SecretStore
from corral.config.secrets import HUGGING_FACE
from corral.config.stack import Stack
from corral.config.stack_file import REGION, SIGNING_IN

_GATEWAY, _STORE = "corral:gateway", "corral:secretStore"

_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}


def partition(region: str) -> str:
    """The part of AWS that a region belongs to: `aws`, but for China, GovCloud and the European Sovereign Cloud."""
    return next((part for start, part in _PARTITIONS.items() if region.startswith(start)), "aws")


def check_provisioning(stack: Stack, keys: Collection[str], catalog: Catalog, report: Report) -> None:
    """`keys`: those of the whole configuration, other namespaces included."""
    if stack.engine.kind == "kubernetes":
        _check_cluster(stack, report)
        _check_signing_in(stack, keys, report)
        _check_azure_can_be_provisioned(stack, report)
        _check_bedrock_can_be_provisioned(stack, report)
        _check_principals(stack, report)
        if stack.secret_store:
            _check_stored(stack, stack.secret_store, catalog, report)
    _check_gateway(stack, stack.gateway, report)


def _check_stored(stack: Stack, store: SecretStore, catalog: Catalog, report: Report) -> None:
    """A key in the store is one that the gateway sends to a host which is there already, or vLLM's for weights."""
    for name in store.keys:
        keys, host = (_STORE, "keys", name), stack.hosts.get(name)
        if name == HUGGING_FACE:
            if not any(isinstance(each, VllmHost) and each.url is None for each in stack.hosts.values()):
                report.relate(keys, "is for a vLLM host that the stack makes, and there is none: remove it")
            continue
        if host is None or report.is_void((HOSTS, name)):
            report.relate(keys, f"no such host under {HOSTS}{correction(name, stack.hosts)}")
            continue
        entry = catalog.hosts[host.kind]
        brings = (isinstance(host, AzureHost) and not host.resource and not host.entra) or isinstance(host, VllmHost)
        if brings and host.url is None:
            report.relate(keys, "is a host that the stack makes, which brings its key along: remove it")
        elif isinstance(host, BedrockHost) and isinstance(stack.cluster, EksCluster):
            report.relate(keys, "is called with the gateway's identity, which needs no key: remove it")
        elif entry.protocol != "openai" and stack.gateway.adapter_image:
            report.relate(keys, f"is called through the adapter, which has its key from {SECRETS}: put it there")


def _check_signing_in(stack: Stack, keys: Collection[str], report: Report) -> None:
    """Of what is in an account of AWS."""
    named = {host for model in stack.models.values() for host in (*model.shares, *model.fallback)}
    if isinstance(stack.cluster, EksCluster) or any(isinstance(stack.hosts.get(each), BedrockHost) for each in named):
        for key in SIGNING_IN:
            if key in keys:
                report.relate(
                    (key,),
                    "would reach Pulumi's provider alone, and neither boto3, which asks for models, nor the AWS CLI, "
                    "which gets the cluster's tokens: leave it out, and set AWS_PROFILE where Pulumi runs. A role to "
                    "take on is a profile with role_arn and source_profile in ~/.aws/config",
                )


def _check_cluster(stack: Stack, report: Report) -> None:
    if not isinstance(stack.cluster, EksCluster) or report.is_void(("corral:cluster",)):
        return
    _check_prometheus(stack.cluster, report)
    if stack.cluster.addons.external_secrets == "install" and not report.has(stack.secret_store, (_STORE,)):
        report.relate(
            ("corral:cluster", "addons", "externalSecrets"),
            f"is installed for what {_STORE} names: give it, or leave this out",
        )
    elsewhere = "name a cluster that is there, corral:cluster.kubeconfig"
    if stack.region is None:
        report.relate((REGION,), f"is where the stack makes a cluster on EKS: say it, or {elsewhere}")
    elif (part := partition(stack.region)) != "aws":
        report.relate(
            (REGION,),
            f"{stack.region} is in {part}, and the stack makes a cluster on EKS in `aws` alone, where the names of "
            f"AWS's policies are known: {elsewhere}",
        )


def _check_prometheus(cluster: EksCluster, report: Report) -> None:
    """The one that the stack installs is where the stack has it asked, and selects what it is to scrape."""
    if cluster.addons.prometheus_operator != "install":
        return
    installed = Prometheus(url=INSTALLED_PROMETHEUS)
    if cluster.prometheus != installed:
        report.relate(
            ("corral:cluster", "prometheus"),
            "is another one than corral:cluster.addons.prometheusOperator installs: write "
            f"`prometheus: {{url: {INSTALLED_PROMETHEUS}}}`, or `present` where you have installed your own",
        )


def _check_bedrock_can_be_provisioned(stack: Stack, report: Report) -> None:
    for name, host in stack.hosts.items():
        if not isinstance(host, BedrockHost) or not host.vpc_endpoint:
            continue
        region = host.region or stack.region
        if isinstance(stack.cluster, KubeconfigCluster) or region != stack.region:
            report.relate(
                (HOSTS, name, "vpcEndpoint"),
                f"is for the VPC of a cluster that the stack makes, and it makes none in {region}: leave it out",
            )


def _check_azure_can_be_provisioned(stack: Stack, report: Report) -> None:
    cluster = stack.cluster
    calls_from_its_own = isinstance(cluster, EksCluster) and isinstance(cluster.network, NewVpc)
    for name, host in stack.hosts.items():
        keys = (HOSTS, name)
        if not isinstance(host, AzureHost) or any(
            report.has(value, (*keys, key)) for key, value in (("url", host.url), ("resource", host.resource))
        ):
            continue
        if not report.has(host.location, (*keys, "location")):
            report.relate(keys, "has no location to be provisioned in: add one, for instance `location: eastus2`")
        if host.auth in ("none", "aws"):
            report.relate(
                (*keys, "auth"),
                "lets nobody call an account that the stack makes: leave it out, and its first key is used, or name "
                "one that is there by `resource` or `url`",
            )
        by_whom = (report.has(host.allow_from or None, (*keys, "allowFrom")), host.private_endpoint)
        if not calls_from_its_own and not any(by_whom):
            report.relate(
                keys,
                "could be called by nobody: the addresses from which this cluster calls are not known. Give them, "
                "`allowFrom: [203.0.113.0/24]` (`anywhere` opens it to all that have its key), or a `privateEndpoint`",
            )
        for model, served in stack.models.items():
            unsure = report.is_void((*keys, "capacity")) or report.is_void((MODELS, model, "shares"))
            if name in (*served.shares, *served.fallback) and model not in host.capacity and not unsure:
                report.relate(
                    (*keys, "capacity") if host.capacity else keys,
                    f"no capacity is given to {model}, which is to be deployed there: add it, for instance "
                    f"`capacity: {{{model}: 200}}`, in thousand tokens a minute",
                )


def _check_principals(stack: Stack, report: Report) -> None:
    """A cluster has no identity at Azure of its own."""
    for name, host in stack.hosts.items():
        keys = (HOSTS, name)
        if not isinstance(host, AzureHost) or report.is_void((*keys, "auth")) or report.is_void((*keys, "entra")):
            continue
        if host.auth != "entra" and host.entra:
            report.relate((*keys, "entra"), "is for `auth: entra`: give that too, or leave this out")
        elif host.auth == "entra" and host.entra is None:
            example = "`entra: {tenant: <id>, client: <id>}`"
            report.relate((*keys, "auth"), f"needs a service principal, by which the cluster calls: add {example}")
        elif host.entra and host.entra.principal is None and not (host.url or host.resource):
            report.relate(
                (*keys, "entra"),
                "needs the object id of the service principal, to which the stack gives the role on the account that "
                "it makes: add `principal`, which `az ad sp show --id <client> --query id` prints",
            )


def _check_gateway(stack: Stack, gateway: Gateway, report: Report) -> None:
    keys = (_GATEWAY, "certificate")
    has_name = report.has(gateway.hostname, (_GATEWAY, "hostname"))
    if gateway.public and not has_name and not report.has(gateway.certificate, keys):
        nameless = f"needs a name, for which its certificate is: give {_GATEWAY}.hostname, or {_GATEWAY}.certificate"
        report.relate((_GATEWAY, "public"), nameless)
    if gateway.public and gateway.plain_http:
        unsafe = "would let API keys cross the internet in the open: leave it out, or the gateway within your network"
        report.relate((_GATEWAY, "plainHttp"), unsafe)
    if gateway.allow_from and not gateway.public:
        unused = f"is for a public gateway, and this one is reached from within alone: give {_GATEWAY}.public: true"
        report.relate((_GATEWAY, "allowFrom"), unused)
    match gateway.certificate:
        case IssuedCertificate() if not has_name:
            report.add((*keys, "issuer"), f"issues for a name: give {_GATEWAY}.hostname")
        case LoadBalancerCertificate() if isinstance(stack.cluster, KubeconfigCluster):
            report.add((*keys, "acm"), "is for a load balancer of AWS, on EKS: elsewhere give `secret` or `issuer`")
        case HostedZoneCertificate() if isinstance(stack.cluster, KubeconfigCluster):
            unusable = "is for a load balancer of AWS, on EKS: elsewhere give `secret` or `issuer`"
            report.add((*keys, "hostedZone"), unusable)
        case HostedZoneCertificate() if not has_name:
            report.add((*keys, "hostedZone"), f"gets the record of a name: give {_GATEWAY}.hostname")
        case _:
            pass
    if isinstance(stack.registry, PullThrough):
        _check_cache(stack, stack.registry.pull_through, report)
    usual, chosen = Versions(), gateway.versions
    if stack.registry and chosen.envoy_gateway != usual.envoy_gateway:
        for key, image, default in (
            ("envoy", chosen.envoy, usual.envoy),
            ("rateLimiter", chosen.rate_limiter, usual.rate_limiter),
        ):
            if image == default:
                report.relate(
                    (_GATEWAY, "versions", key),
                    f"is {default}, which goes with Envoy Gateway {usual.envoy_gateway}, and is pulled from "
                    f"corral:registry by that name: give the one that goes with {chosen.envoy_gateway} "
                    "(api/v1alpha1/shared_types.go of envoyproxy/gateway)",
                )


def _check_cache(stack: Stack, upstreams: Upstreams, report: Report) -> None:
    keys = ("corral:registry", "pullThrough")
    if isinstance(stack.cluster, KubeconfigCluster):
        report.relate(keys, "is for a cluster on EKS that the stack makes: elsewhere give corral:registry.mirror")
    for key, arn in (("dockerHub", upstreams.docker_hub), ("github", upstreams.github)):
        if arn and stack.region and (region := arn.split(":")[3]) != stack.region:
            report.relate(
                (*keys, key), f"is in {region}, and ECR takes a secret of its own region: make one in {stack.region}"
            )
