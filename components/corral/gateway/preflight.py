"""What a stack needs before `pulumi up`, all of it: its hosts, its cluster, and how clients will reach its gateway.

Policy.  Three verdicts, of which refused alone would stop the deployment, or leave a host out of it; unknown says what
it takes to know.  Only reads; at once for hosts, cluster and gateway.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx

from corral.cluster import preflight as cluster
from corral.config.cluster import Gateway, HostedZoneCertificate, IssuedCertificate, LoadBalancerCertificate
from corral.config.stack import Stack
from corral.gateway.manifests.front import VCPUS_OF_ENVOY
from corral.hosts import preflight as hosts
from corral.hosts.aws import Account
from corral.hosts.probing import Judgement, Precondition
from corral.plan.plan import Plan

_PART = "gateway"


def preflight(
    stack: Stack, plan: Plan, environment: Mapping[str, str], transport: httpx.BaseTransport | None = None
) -> list[Precondition]:
    """Host by host, then the cluster's, then the gateway's.  `environment` and `transport` as of `hosts.preflight`."""
    parts: list[Callable[[], Iterator[Precondition]]] = [
        lambda: hosts.preconditions(stack, plan, environment, transport),
        lambda: cluster.preconditions(stack, VCPUS_OF_ENVOY),
        lambda: _reached(stack.gateway, stack.region),
    ]
    with ThreadPoolExecutor(len(parts)) as pool:
        return [each for part in pool.map(_whole, parts) for each in part]


def _whole(part: Callable[[], Iterator[Precondition]]) -> list[Precondition]:
    return [*part()]


def _reached(gateway: Gateway, region: str | None) -> Iterator[Precondition]:
    zone = gateway.certificate if isinstance(gateway.certificate, HostedZoneCertificate) else None
    if gateway.hostname and zone:
        yield Precondition.of(_PART, zone.hosted_zone, _zoned, gateway.hostname, zone.hosted_zone, region)
    elif gateway.hostname:
        yield Precondition.of(_PART, gateway.hostname, _resolved, gateway.hostname)
    match gateway.certificate:
        case LoadBalancerCertificate(acm=arn):
            yield Precondition.of(_PART, "certificate", _certificate, arn, gateway.hostname, region)
        case IssuedCertificate(issuer=name):
            why = f"the cluster says: `kubectl get clusterissuer {name}`"
            yield Precondition(_PART, "certificate", "unknown", why)
        case None | HostedZoneCertificate():
            return
        case given:
            namespace, _, name = given.secret.partition("/")
            why = f"the cluster says: `kubectl get secret {name} --namespace {namespace}`"
            yield Precondition(_PART, "certificate", "unknown", why)


def _zoned(hostname: str, zone: str, region: str | None) -> Judgement:
    answer = Account(region or "us-east-1").read("route53", "get_hosted_zone", ("NoSuchHostedZone",), Id=zone)
    if answer is None:
        return "refused", "this account has no such zone: correct corral:gateway.certificate"
    name = answer["HostedZone"]["Name"].rstrip(".")
    if answer["HostedZone"].get("Config", {}).get("PrivateZone"):
        return "refused", f"{name} is a private zone, in which ACM validates nothing: name a public one"
    if hostname != name and not hostname.endswith(f".{name}"):
        return "refused", f"it is {name}, in which {hostname} does not lie: correct one of the two"
    return "allowed", f"{name}, in which {hostname} gets its record"


def _resolved(hostname: str) -> Judgement:
    try:
        addresses = sorted({str(each[4][0]) for each in socket.getaddrinfo(hostname, 443, type=socket.SOCK_STREAM)})
    except OSError:
        way_out = (
            "point it at the load balancer once that is there (pulumi stack output url), or let external-dns do it"
        )
        return "unknown", f"not in DNS yet: {way_out}"
    return "allowed", f"in DNS as {', '.join(addresses)}: it is to lead to the load balancer"


def _certificate(arn: str, hostname: str | None, region: str | None) -> Judgement:
    there = arn.split(":")[3]
    if there != region:
        return "refused", f"it is in {there}, and the load balancer in {region}: name one of {region}"
    answer = Account(there).read("acm", "describe_certificate", ("ResourceNotFoundException",), CertificateArn=arn)
    if answer is None:
        return "refused", f"{there} has no such certificate: correct corral:gateway.certificate"
    certificate = answer["Certificate"]
    if certificate["Status"] != "ISSUED":
        return "refused", f"it is {certificate['Status'].replace('_', ' ').lower()}: have it validated, or issued anew"
    if (end := certificate.get("NotAfter")) and end <= datetime.now(UTC):
        return "refused", f"it ended on {end.date()}: have it renewed"
    names = {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", ())}
    if hostname and not {hostname, f"*.{hostname.partition('.')[2]}"} & names:
        return "refused", f"it is for {', '.join(sorted(names))}, not for {hostname}: name one for that"
    return "allowed", f"issued{f', until {end.date()}' if end else ''}"
