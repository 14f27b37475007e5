"""What a real Envoy does with requests whose host fails, with the retries and the ejection of the rendered manifests.

Envoy is configured as Envoy Gateway 1.8.3 does it (internal/xds/translator: route.go, cluster.go): one cluster for a
route, in it a locality with its weight for each host, in this an endpoint for each address of the host.  Hosts are
internal listeners of the same Envoy, which answer at once, so that no port is wanted.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from corral.gateway.manifests.render import render
from corral.gateway.manifests.resource import Manifest
from corral.local.envoy_process import find_envoy
from corral.plan.failover import MAX_ADDRESSES
from tests.gateway.manifests.plans import inputs, model, plan
from tests.local.gateway import until

Shares = Mapping[str, int]

SHARES: Sequence[Shares] = (
    {"failing": 50, "lab": 50},
    {"failing": 90, "lab": 10},
    {"failing": 99, "lab": 1},
    {"failing": 60, "groq": 30, "lab": 10},
)
STATUSES = (503, 429)
"""One for which a host is ejected after five, and one for which it never is."""

_TYPES = "type.googleapis.com/envoy"


def manifests(shares: Shares, fallback: Sequence[str]) -> dict[str, Manifest]:
    """Those of one model, by the first part of their keys."""
    resources = render(inputs(plan(model("llama", shares, fallback))))
    return {key.partition("/")[0]: resource.manifest for key, resource in resources.items()}


def extension(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": f"envoy.{name}", "typed_config": {"@type": f"{_TYPES}.{kind}", **fields}}


def patches_of(objects: Mapping[str, Manifest], json_path: str) -> list[dict[str, Any]]:
    """The operations of the patch of all routes that have this path."""
    operations = [patch["operation"] for patch in objects["selection"]["spec"]["jsonPatches"]]
    return [each for each in operations if each["jsonPath"] == json_path]


def retry_policy(objects: Mapping[str, Manifest], *, patched: bool) -> dict[str, Any]:
    """As `buildRetryPolicy` makes it, and as the patch leaves it."""
    retry = objects["retries"]["spec"]["retry"]
    back_off = retry["perRetry"]["backOff"]
    previous_hosts = extension(
        "retry_host_predicates.previous_hosts", "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    )
    policy = {
        "retry_on": ",".join(retry["retryOn"]["triggers"]),
        "retriable_status_codes": retry["retryOn"]["httpStatusCodes"],
        "num_retries": retry["numRetries"],
        "retry_back_off": {
            "base_interval": seconds(back_off["baseInterval"]),
            "max_interval": seconds(back_off["maxInterval"]),
        },
        "retry_host_predicate": [previous_hosts],
        "host_selection_retry_max_attempts": 5,
        "retry_priority": extension(
            "retry_priorities.previous_priorities",
            "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            update_frequency=retry["numAttemptsPerPriority"],
        ),
    }
    (operation,) = patches_of(objects, "$.virtual_hosts[*].routes[*].route.retry_policy")
    return policy | ({operation["path"].removeprefix("/"): operation["value"]} if patched else {})


def seconds(written: str) -> str:
    """`50ms` → `0.050s`."""
    return f"{int(written.removesuffix('ms')) / 1000:.3f}s" if written.endswith("ms") else written


def cluster(name: str, objects: Mapping[str, Manifest], status: int, addresses: int) -> dict[str, Any]:
    spec = objects["retries"]["spec"]
    passive = spec["healthCheck"]["passive"]

    def endpoint(host: str, address: int) -> dict[str, Any]:
        answer = status if host.startswith("failing") else 200
        internal = {"server_listener_name": str(answer), "endpoint_id": f"{host} {address}"}
        return {"load_balancing_weight": 1, "endpoint": {"address": {"envoy_internal_address": internal}}}

    (rule,) = objects["route"]["spec"]["rules"]
    hosts = {ref["modelNameOverride"].rpartition(" ")[2]: ref for ref in rule["backendRefs"] if ref["weight"]}
    least_request = extension(
        "load_balancing_policies.least_request",
        "extensions.load_balancing_policies.least_request.v3.LeastRequest",
        locality_lb_config={"locality_weighted_lb_config": {}},
    )
    return {
        "name": name,
        "type": "STATIC",
        "common_lb_config": {"healthy_panic_threshold": {"value": spec["healthCheck"]["panicThreshold"]}},
        "load_balancing_policy": {"policies": [{"typed_extension_config": least_request}]},
        "outlier_detection": {
            "consecutive_5xx": passive["consecutive5XxErrors"],
            "interval": passive["interval"],
            "base_ejection_time": passive["baseEjectionTime"],
            "max_ejection_percent": passive["maxEjectionPercent"],
        },
        "circuit_breakers": {"thresholds": [{"max_requests": 10**6, "max_retries": 10**6}]},
        "transport_socket": extension(
            "transport_sockets.internal_upstream",
            "extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
            transport_socket=extension(
                "transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer"
            ),
        ),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    "locality": {"region": host},
                    "priority": ref["priority"],
                    "load_balancing_weight": ref["weight"],
                    "lb_endpoints": [endpoint(host, address) for address in range(addresses)],
                }
                for host, ref in hosts.items()
            ],
        },
    }


def listener(name: str, routes: list[dict[str, Any]], **where: Any) -> dict[str, Any]:
    manager = extension(
        "filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=[extension("filters.http.router", "extensions.filters.http.router.v3.Router")],
    )
    return {"name": name, "filter_chains": [{"filters": [manager]}], **where}


class Cases:
    """Routes of one Envoy, each to a cluster of its own."""

    def __init__(self) -> None:
        self.routes: list[dict[str, Any]] = []
        self.clusters: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        shares: Shares,
        fallback: Sequence[str] = (),
        *,
        status: int = 429,
        addresses: int = 1,
        patched: bool = True,
    ) -> None:
        objects = manifests(shares, fallback)
        policy = retry_policy(objects, patched=patched)
        self.clusters.append(cluster(name, objects, status, addresses))
        self.routes.append(
            {"match": {"path": f"/{name}"}, "route": {"cluster": name, "timeout": "0s", "retry_policy": policy}}
        )

    def answers(self, number: int) -> dict[str, Counter[int]]:
        """What that many requests of each route are answered."""
        with served(self) as client, ThreadPoolExecutor(8) as pool:
            paths = [case["name"] for case in self.clusters for _ in range(number)]
            statuses = pool.map(lambda path: client.get(f"/{path}").status_code, paths)
            answers: dict[str, Counter[int]] = {}
            for path, status in zip(paths, statuses, strict=True):
                answers.setdefault(path, Counter())[status] += 1
            return answers


@contextmanager
def served(cases: Cases) -> Iterator[httpx.Client]:
    folder = Path(tempfile.mkdtemp(prefix="c-"))
    hosts = [
        listener(
            str(status),
            [{"match": {"prefix": "/"}, "direct_response": {"status": status}}],
            internal_listener={},
        )
        for status in (200, *STATUSES)
    ]
    gateway = folder / "gateway"
    internal = extension("bootstrap.internal_listener", "extensions.bootstrap.internal_listener.v3.InternalListener")
    config = {
        "bootstrap_extensions": [internal],
        "static_resources": {
            "listeners": [*hosts, listener("gateway", cases.routes, address={"pipe": {"path": str(gateway)}})],
            "clusters": cases.clusters,
        },
    }
    (folder / "envoy.json").write_text(json.dumps(config))
    command = [find_envoy(), "--config-path", folder / "envoy.json", "--disable-hot-restart", "--concurrency", "2"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(gateway)), base_url="http://gateway") as client:
            until(lambda: listening(gateway) or process.poll() is not None, "Envoy listens")
            assert process.poll() is None, (folder / "log").read_text()
            yield client
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


def test_a_failing_host_costs_no_request_at_any_shares() -> None:
    cases = Cases()
    for shares in SHARES:
        for status in STATUSES:
            name = f"{'-'.join(map(str, shares.values()))}-{status}"
            cases.add(name, shares, status=status)
    assert cases.answers(200) == {case["name"]: Counter({200: 200}) for case in cases.clusters}


def test_nor_does_one_whose_name_leads_to_eight_addresses() -> None:
    cases = Cases()
    for shares in SHARES:
        cases.add("-".join(map(str, shares.values())), shares, addresses=MAX_ADDRESSES)
        cases.add("-".join(map(str, shares.values())) + "-fallback", shares, ["backup"], addresses=MAX_ADDRESSES)
    assert cases.answers(50) == {case["name"]: Counter({200: 50}) for case in cases.clusters}


def test_two_failing_hosts_cost_no_request_while_a_third_is_well() -> None:
    cases = Cases()
    cases.add("both", {"failing": 90, "failing-too": 9, "lab": 1})
    assert cases.answers(200) == {"both": Counter({200: 200})}


def test_an_answer_names_the_host_that_the_request_went_to_and_the_plan_that_sent_it() -> None:
    """Envoy AI Gateway's processor puts both into the request on its way to the host; here a filter does."""
    shares = {"groq": 50, "lab": 50}
    cases = Cases()
    cases.add("named", shares)
    filters = [
        extension(
            "filters.http.header_mutation",
            "extensions.filters.http.header_mutation.v3.HeaderMutation",
            mutations={
                "request_mutations": [
                    {"append": {"header": {"key": "x-corral-host", "value": "lab"}}},
                    {"append": {"header": {"key": "x-corral-plan", "value": "0ba311c9b8c0"}}},
                ]
            },
        ),
        extension("filters.http.upstream_codec", "extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
    ]
    options = {
        "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": filters,
    }
    cases.clusters[0]["typed_extension_protocol_options"] = {
        f"envoy.{options['@type'].partition('envoy.')[2]}": options
    }
    operations = patches_of(manifests(shares, ()), "$.virtual_hosts[*]")
    assert {operation["path"] for operation in operations} == {"/response_headers_to_add/-"}
    cases.routes[0]["response_headers_to_add"] = [operation["value"] for operation in operations]
    with served(cases) as client:
        headers = client.get("/named").headers
    assert (headers["x-corral-host"], headers["x-corral-plan"]) == ("lab", "0ba311c9b8c0")


def test_without_the_patch_half_of_the_requests_are_lost_with_one_retry() -> None:
    """Once this fails, Envoy Gateway's number of draws is no longer what the patch is for."""
    cases = Cases()
    cases.add("90-10", {"failing": 90, "lab": 10}, patched=False)
    cases.routes[0]["route"]["retry_policy"]["num_retries"] = 1
    lost = cases.answers(500)["90-10"][429]
    assert 100 < lost < 400
