"""The Pulumi program: a stack's hosts on its cluster, and one load balancer in front of them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pulumi

from components.catalog.load import load_catalog
from components.checks.run import check
from components.config.errors import SECRETS, TENANT_SECRETS, ConfigError
from components.config.pulumi_values import plain_values
from components.config.read import stack_from_config
from components.hosts.refusal import refusal
from components.plan.build import build
from components.tenants.proofs import UnfitProofError, proofs

HERE = Path(__file__).parent


def deploy(file: Path) -> None:
    """Provisions the stack that Pulumi has read from `file`; nothing of one that is refused."""
    catalog = load_catalog()
    values = plain_values(pulumi.runtime.get_config, pulumi.runtime.is_config_secret)
    try:
        stack = stack_from_config(pulumi.get_stack(), values, catalog, file)
        plan = build(stack, catalog)
        proved = proofs(pulumi.runtime.get_config(TENANT_SECRETS), plan.issuers, file.parent)
    except (ConfigError, UnfitProofError) as error:
        raise pulumi.RunError(str(error)) from None
    given = json.loads(pulumi.runtime.get_config(SECRETS) or "{}")
    keys = {name: pulumi.Output.secret(secret) for name, secret in given.items()}
    findings = check(plan, datetime.now(UTC).date())
    if reasons := refusal(plan, findings, keys):
        raise pulumi.RunError(reasons)
    for finding in findings:
        if finding.level == "warning" and not finding.accepted:
            pulumi.warn(str(finding).removeprefix("warning "))

    # Loaded only now: a stack that is refused does not wait for the SDKs of its providers.
    from components.cluster.open import open_cluster
    from components.gateway.component import Gateway, GatewayArgs
    from components.hosts.registry import Site, identify_gateway, make_hosts

    tags = {"managed-by": "corral", "corral-stack": stack.name}
    cluster = open_cluster(stack, tags)
    hosts = make_hosts(Site(stack, plan, catalog, cluster, keys, HERE, tags))
    endpoints = [endpoint for host in hosts.values() for endpoint in host.endpoints.values()]
    identity = identify_gateway(hosts, cluster)
    gateway = Gateway("gateway", GatewayArgs(plan, stack.gateway, proved, endpoints, cluster, identity, tags))

    pulumi.export("url", gateway.url)
    pulumi.export("certificate", gateway.certificate)
    pulumi.export("endpoints", {f"{endpoint.host}/{endpoint.model}": endpoint.url for endpoint in endpoints})
    pulumi.export("keys", gateway.keys)


if __name__ == "__main__":
    deploy(HERE / f"Pulumi.{pulumi.get_stack()}.yaml")
