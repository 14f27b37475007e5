"""A cluster that the stack makes can be made by one `pulumi up`, from where it is run.

Policy.  What the stack makes is new at the first `up`: nobody is in its VPC, and nothing runs on it but what EKS Auto
Mode and the gateway bring along.  Whoever runs Pulumi has to reach the API server, which is a decision and has no
default.  An object of a kind that nobody has defined, or of a namespace that is not there, would end the `up` half way
(`no matches for kind`), so that what it needs has to be there, and the stack has to say so (`corral:cluster.addons`).
Of a cluster that a kubeconfig names nothing is asked: it may have all that.
"""

from __future__ import annotations

from collections.abc import Iterator

from corral.catalog.patterns import ANYWHERE
from corral.config.cluster import (
    EksCluster,
    GivenCertificate,
    IssuedCertificate,
    KubeconfigCluster,
    NewVpc,
    Replicas,
    Versions,
)
from corral.config.problems import listed
from corral.plan.checks.findings import Finding
from corral.plan.plan import Plan

_ACCESS = "cluster/publicFrom"
_INSTALLED = ("keda", "prometheusOperator", "externalSecrets")
"""The addons that the stack can install."""


def cluster(plan: Plan) -> Iterator[Finding]:
    """Errors: nobody reaches the API server; what an object needs is on no new cluster; browsers are to call.
    Warnings: software of versions that were not tried.  Notes: who reaches it, how clients know the gateway, and that
    nobody counts requests."""
    if isinstance(plan.cluster, EksCluster):
        yield from _access(plan.cluster)
        yield from _addons(plan, plan.cluster)
    if plan.cluster:
        yield from _browsers(plan)
        yield from _encryption(plan)
    if plan.cluster and plan.cluster.prometheus is None:
        yield from _uncounted(plan.cluster, plan.replicas)
    if plan.versions:
        yield from _untried(plan.versions)


def _browsers(plan: Plan) -> Iterator[Finding]:
    """Envoy's CORS filter looks at the route before Envoy AI Gateway has found it by the request's body."""
    if plan.request_settings.origins:
        yield Finding(
            "error",
            "gateway/origins",
            "browsers cannot call the gateway of a cluster: Envoy AI Gateway finds a request's route when it is too "
            "late for CORS headers",
            "leave out corral:gateway.origins, and have what stands before the gateway add them",
        )


def _encryption(plan: Plan) -> Iterator[Finding]:
    if plan.certificate is None:
        yield Finding(
            "note",
            "gateway/certificate",
            "an authority that the stack makes issues the gateway's certificate, which no client trusts by itself",
            f"give clients the authority's, `pulumi stack output ca -s {plan.stack}`, or name a certificate that they "
            "trust, corral:gateway.certificate",
        )
    if plan.plain_http:
        yield Finding(
            "note",
            "gateway/plainHttp",
            "the gateway answers plain HTTP as well: API keys and prompts of who calls it so cross the network in the "
            "open",
            "have all clients call https, then leave out corral:gateway.plainHttp",
        )


def _access(eks: EksCluster) -> Iterator[Finding]:
    if ANYWHERE in eks.public_from:
        yield Finding(
            "note",
            _ACCESS,
            "the API server of the cluster can be called from anywhere on the internet, and asks everybody for "
            "credentials of IAM",
            "narrow it to where Pulumi and kubectl run, corral:cluster.publicFrom: [203.0.113.0/24]",
        )
    elif isinstance(eks.network, NewVpc) and not eks.public_from:
        yield Finding(
            "error",
            _ACCESS,
            "nobody reaches the API server of the cluster: it answers within its VPC, which the stack only makes",
            "say under corral:cluster.publicFrom who does: the addresses of your network and of your runner "
            "([203.0.113.0/24]), [anywhere] where these are not fixed (IAM is then what guards it), or `nobody` where "
            "Pulumi runs in that VPC by now; or take a VPC that you are in, corral:cluster.network: {vpc: …, subnets: "
            "[…]}",
        )
    elif not eks.public_ranges:
        yield Finding(
            "note",
            _ACCESS,
            "the API server of the cluster answers within its VPC only",
            "run Pulumi and kubectl there, or name the addresses from which they run, corral:cluster.publicFrom",
        )


def _addons(plan: Plan, eks: EksCluster) -> Iterator[Finding]:
    addons, prometheus = eks.addons, eks.prometheus
    if prometheus:
        if not addons.keda:
            yield _absent("keda", "corral:cluster.prometheus has Envoys and vLLM scaled by KEDA", "KEDA 2.17 or newer")
        if prometheus.scrape == "serviceMonitor" and not addons.prometheus_operator:
            yield _absent(
                "prometheusOperator",
                "corral:cluster.prometheus has Envoys and vLLM scraped by the operator's monitors",
                "the Prometheus operator (or have Prometheus scrape by `annotations`)",
            )
    if plan.stored and not addons.external_secrets:
        yield _absent(
            "externalSecrets",
            f"corral:secretStore has the External Secrets Operator get the key of {listed(plan.stored, 'and')}",
            "the External Secrets Operator, its API in version v1, with that ClusterSecretStore",
        )
    if isinstance(plan.certificate, IssuedCertificate) and not addons.certificates:
        issuer = plan.certificate.issuer
        yield _absent(
            "certificates",
            f"corral:gateway.certificate is issued by {issuer}",
            f"cert-manager's ClusterIssuer {issuer}",
        )
    if isinstance(plan.certificate, GivenCertificate) and not addons.certificates:
        secret = plan.certificate.secret
        yield _absent("certificates", f"corral:gateway.certificate is the secret {secret}", "that secret")


def _uncounted(on: EksCluster | KubeconfigCluster, replicas: Replicas | None) -> Iterator[Finding]:
    if replicas and replicas.min < replicas.max:
        source = "" if isinstance(on, EksCluster) else f", and stays {replicas.min} where no metrics-server tells of it"
        yield Finding(
            "note",
            "cluster/replicas",
            f"the number of Envoys follows their CPU{source}: a request that waits for its host needs none, and an "
            "Envoy holds some 500",
            "name the Prometheus that counts requests, corral:cluster.prometheus, or have an Envoy for each 300 of the "
            "peak, corral:gateway.replicas.min",
        )


def _untried(versions: Versions) -> Iterator[Finding]:
    usual = Versions()
    others = [
        f"{name} {version}"
        for name, version, default in (
            ("Envoy Gateway", versions.envoy_gateway, usual.envoy_gateway),
            ("Envoy AI Gateway", versions.ai_gateway, usual.ai_gateway),
            ("cert-manager", versions.cert_manager, usual.cert_manager),
        )
        if version != default
    ]
    if others:
        yield Finding(
            "warning",
            "gateway/versions",
            f"the stack installs {' and '.join(others)}, not tried with this version of Corral",
            "read in docs/registry.md what is known of it, rehearse the upgrade on a cluster of its own, then accept "
            "this; or leave it out of corral:gateway.versions",
        )


def _absent(addon: str, need: str, what: str) -> Finding:
    by_stack = f"have the stack install it, corral:cluster.addons.{addon}: install, or " if addon in _INSTALLED else ""
    return Finding(
        "error",
        f"cluster/{addon}",
        f"{need}, which is on no new cluster",
        f"{by_stack}leave it out of the first `pulumi up`, then install {what} and say corral:cluster.addons.{addon}: "
        "present",
    )
