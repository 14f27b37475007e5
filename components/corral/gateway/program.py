"""The Pulumi program: a stack's hosts on its cluster, and one load balancer in front of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pulumi

from corral.catalog.load import load_catalog
from corral.config.cluster import HostedZoneCertificate, LoadBalancerCertificate
from corral.config.prices import FILE as PRICES
from corral.config.prices import read_prices
from corral.config.problems import SECRETS, TENANT_SECRETS, ConfigError
from corral.config.read import check_files, stack_from_config
from corral.config.secrets import REGISTRY
from corral.config.stack import Stack
from corral.config.stack_file import plain_values
from corral.gateway.archives import FOLDER, ArchiveError, Archives, Origin
from corral.gateway.charts import addon_charts, charts
from corral.hosts.endpoint import Endpoint
from corral.hosts.keys import refusal
from corral.plan.build import build
from corral.plan.checks.run import check
from corral.plan.credentials import InvalidCredentialError, caller_credentials
from corral.plan.trace import summary
from corral.repository import commit_of

_ROUTING_SECONDS = 600
"""For what comes after all hosts are there or given up: to accept routes and to roll out the first Envoys."""


_CLUSTER = "aws:eks/cluster:Cluster"

LASTING = {
    _CLUSTER,
    "aws:kms/key:Key",
    "aws:cloudwatch/logGroup:LogGroup",
    "azure-native:cognitiveservices:Account",
}
"""Types of what is lost with all that is in it, or has its name blocked for days: all else is made anew as it was."""


def deploy(file: Path | None = None) -> None:
    """Provisions the stack that Pulumi has read from `file`; nothing of one that is refused.

    Left out, it is `Pulumi.<stack>.yaml` in the folder that the program runs in: that of `main` in Pulumi.yaml.
    """
    file = file or Path.cwd() / f"Pulumi.{pulumi.get_stack()}.yaml"
    catalog = load_catalog()
    values = plain_values(pulumi.runtime.get_config, pulumi.runtime.is_config_secret)
    try:
        stack = stack_from_config(pulumi.get_stack(), values, catalog, file)
        plan = build(stack, catalog, read_prices(file.parent))
        credentials = caller_credentials(pulumi.runtime.get_config(TENANT_SECRETS), plan.issuers, file.parent)
    except (ConfigError, InvalidCredentialError) as error:
        raise pulumi.RunError(str(error)) from None
    host_keys = json.loads(pulumi.runtime.get_config(SECRETS) or "{}")
    keys = {host: pulumi.Output.secret(key) for host, key in host_keys.items()}
    findings = check(plan, datetime.now(UTC).date())
    if reasons := refusal(plan, findings, keys):
        raise pulumi.RunError(reasons)
    for finding in findings:
        if finding.level == "warning" and not finding.accepted:
            pulumi.warn(str(finding).removeprefix("warning "))
    _complete_archives(stack, Origin(stack.mirror, file.parent, host_keys.get(REGISTRY)))

    # Loaded only now: a stack that is refused does not wait for the SDKs of its providers.
    from corral.cluster.clusters import open_cluster
    from corral.gateway.component import Gateway, GatewayArgs
    from corral.gateway.manifests.cutover import requests
    from corral.gateway.names import ENVOY_NAMESPACE, NAMES
    from corral.gateway.recovery import end_without_traceback, way_out
    from corral.hosts.base import Site, on_mocks
    from corral.hosts.failures import HostFailures
    from corral.hosts.images import Images
    from corral.hosts.registry import hold_to_accounts, make_hosts

    if not on_mocks():
        end_without_traceback(stack.name)
        try:
            check_files(stack, file)
        except ConfigError as error:
            raise pulumi.RunError(str(error)) from None
    hold_to_accounts(stack, plan)
    _protect(on=stack.protect)
    tags = {"managed-by": "corral", "corral-stack": stack.name}
    held_seconds = (stack.gateway.host_timeout + 2 * stack.gateway.handover) / 1000 + _ROUTING_SECONDS
    failures = HostFailures(held_seconds, partial(way_out, stack.name))
    cluster = open_cluster(stack, tags)
    images = Images(cluster.cache or stack.mirror, keys.get(REGISTRY))
    if installed := addon_charts(stack):
        from corral.gateway.addons import Addons, AddonsArgs
        from corral.hosts.naming import labels

        arguments = AddonsArgs(
            provider=cluster.provider,
            images=images,
            prometheus=cluster.prometheus,
            labels=labels(tags),
            depends_on=cluster.ready,
            grace_seconds=0,
            cluster=cluster,
            charts=installed,
            store=stack.secret_store,
        )
        cluster.ready = [*cluster.ready, *Addons("addons", arguments).ready]
    site = Site(stack, plan, cluster, images, keys, file.parent, tags, ENVOY_NAMESPACE, requests)
    hosts = make_hosts(site, failures)
    endpoints = [endpoint for host in hosts.values() for endpoint in host.endpoints.values()]
    # The gateway calls, as itself, the hosts that want an identity and no key.  It has one whether there are such hosts
    # or not: a pod gets it when it starts, and a host that is added later would find Envoys without.
    policies = {name: host.invoke_policy for name, host in hosts.items() if host.invoke_policy is not None}
    identity, permissions = cluster.identity(
        "gateway-identity", ENVOY_NAMESPACE, NAMES.service_account, [*policies.values()], cluster
    )
    declared, point = stack.gateway, None
    if isinstance(zone := declared.certificate, HostedZoneCertificate) and declared.hostname and stack.region:
        from corral.cluster.domain import Domain, DomainArgs

        domain = Domain("domain", DomainArgs(declared.hostname, zone.hosted_zone, stack.region, tags))
        issued = LoadBalancerCertificate.model_construct(acm=domain.certificate)  # known once it is issued
        declared, point = declared.model_copy(update={"certificate": issued}), domain.point
    args = GatewayArgs(
        plan=plan,
        gateway=declared,
        credentials=credentials,
        endpoints=endpoints,
        cluster=cluster,
        images=images,
        identity=identity,
        permissions=dict(zip(policies, permissions, strict=False)),
        failures=failures,
        tags=tags,
        names=NAMES,
        point=point,
        install=True,
    )
    gateway = Gateway("gateway", args)

    pulumi.export("url", gateway.url)
    pulumi.export("certificate", gateway.certificate)
    pulumi.export("ca", gateway.ca)
    pulumi.export("endpoints", {f"{endpoint.host}/{endpoint.model}": _url(endpoint) for endpoint in endpoints})
    pulumi.export("keys", gateway.keys)
    pulumi.export("plan", summary(replace(plan, commit=None if on_mocks() else commit_of(file, file.parent / PRICES))))


def _protect(*, on: bool) -> None:
    """Protects what is to last, where it is on; and says of a cluster either way whether AWS is to, which would else
    keep what it was told before."""

    def protected(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ not in LASTING:
            return None
        props = {**args.props, "deletion_protection": on} if args.type_ == _CLUSTER else args.props
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=on))
        return pulumi.ResourceTransformationResult(props, opts)

    pulumi.runtime.register_stack_transformation(protected)


def _complete_archives(stack: Stack, origin: Origin) -> None:
    """The provider reads charts from files; on mocks there is none, and nothing is read."""
    from corral.hosts.base import on_mocks

    if on_mocks():
        return
    try:
        pulled = Archives(Path.cwd() / FOLDER).complete(charts(stack), origin)
    except ArchiveError as error:
        raise pulumi.RunError(str(error)) from None
    if pulled:
        pulumi.warn(
            f"pulled {', '.join(chart.archive for chart in pulled)} into {FOLDER}/ beside the stack files: commit that "
            "folder, so that the next edit needs no registry"
        )


def _url(endpoint: Endpoint) -> pulumi.Output[str]:
    """The base URL, for a person to look at."""
    scheme = "https" if endpoint.tls else "http"
    return pulumi.Output.concat(scheme, "://", endpoint.hostname, f":{endpoint.port}{endpoint.path}")
