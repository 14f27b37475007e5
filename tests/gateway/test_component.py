"""The load balancer on Pulumi's mocks: what it makes, in which order, and what of it is secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from hypothesis import given, settings

from corral.cluster.clusters import ExistingCluster
from corral.config import cluster as config
from corral.config.cluster import KubeconfigCluster
from corral.config.registry import Registry
from corral.gateway.component import Gateway, GatewayArgs
from corral.gateway.manifests.resource import Network
from corral.gateway.names import NAMES
from corral.hosts.endpoint import KeyCredential
from corral.hosts.failures import HostFailures
from corral.hosts.images import Images
from corral.plan.callers import Issuer, Rate
from corral.plan.credentials import CallerCredentials
from corral.plan.plan import Plan
from corral.testing import NEVER, Recorded, Secret, World, changes, run
from tests.gateway.manifests.plans import CA, SIGNED, endpoint, model, plan, share_edits, tenant

TENANTS = (tenant("search", "llama", "scout"), tenant("support", "llama", "scout"))

SERVED = plan(
    model("llama", {"bedrock": 50, "azure": 30, "vllm": 20}, ["lab"]),
    model("scout", {"bedrock": 100}),
    tenants=TENANTS,
)

LIMITED = replace(SERVED, tenants=(TENANTS[0], replace(TENANTS[1], rate=Rate(tokens=9))))


def key(host: str) -> KeyCredential:
    return KeyCredential("authorization", pulumi.Output.secret(f"{NEVER}-{host}"))


def program(
    served: Plan = SERVED,
    gateway: config.Gateway | None = None,
    network: Network = "eks",
    credentials: CallerCredentials = CallerCredentials({}, {}),  # noqa: B008
    registry: Registry | None = None,
    failures: HostFailures | None = None,
    **differing: Any,
) -> None:
    cluster = ExistingCluster("cluster", KubeconfigCluster(kubeconfig="kind.yaml"))
    provider = cluster.provider
    nodes = kubernetes.core.v1.Namespace("nodes", opts=pulumi.ResourceOptions(provider=provider))
    cluster.network, cluster.ready = network, [nodes]
    server = kubernetes.core.v1.Namespace("server", opts=pulumi.ResourceOptions(provider=provider))
    identity = kubernetes.core.v1.Namespace("identity", opts=pulumi.ResourceOptions(provider=provider))
    permission = kubernetes.core.v1.Namespace("permission", opts=pulumi.ResourceOptions(provider=provider))
    special: dict[str, Any] = {
        "bedrock": SIGNED,
        "azure": {"model_id": pulumi.Output.from_input("deployed")},
        "vllm": {"tls": False, "port": 8000, "credential": None, "ready": (server,)},
        "lab": {"ca": CA},
    }
    component = Gateway(
        "gateway",
        GatewayArgs(
            plan=served,
            gateway=gateway or config.Gateway(),
            credentials=credentials,
            endpoints=[
                endpoint(to.host, one.name, **{"credential": key(to.host), **special.get(to.host, {}), **differing})
                for one in served.models
                for to in one.targets
            ],
            cluster=cluster,
            images=Images(registry),
            identity=[identity],
            permissions={"bedrock": permission},
            failures=failures or HostFailures(0),
            tags={"stack": "test"},
            names=NAMES,
            point=None,
            install=True,
        ),
    )
    pulumi.export("url", component.url)
    pulumi.export("certificate", component.certificate)
    pulumi.export("keys", component.keys)


@pytest.fixture(scope="module")
def deployed() -> World:
    return run(program)


def names(resources: Sequence[Recorded]) -> list[str]:
    return sorted(resource.name for resource in resources)


def revision(deployed: World, beginning: str) -> str:
    """The whole logical name of the only resource whose name begins so and has its revision after it."""
    (name,) = (each.name for each in deployed.resources if each.name.rpartition("/")[0] == beginning)
    return name


def before(deployed: World, name: str) -> set[str]:
    """The logical names of all that is there before a resource."""
    by_urn = {resource.urn: resource for resource in deployed.resources}
    seen: set[str] = set()
    ahead = [deployed[name].urn]
    while ahead:
        for urn in by_urn[ahead.pop()].dependencies & by_urn.keys():
            if urn not in seen:
                seen.add(urn)
                ahead.append(urn)
    return {by_urn[urn].name for urn in seen}


def test_a_route_comes_after_everything_that_it_names_and_after_its_hosts(deployed: World):
    assert before(deployed, revision(deployed, "gateway-route/llama")) >= {
        "nodes", "server", "identity", "permission", "gateway-software-ai-gateway", "gateway-namespace",
        "gateway-tenants-secret", "gateway-gateway", "gateway-access", "gateway-clients",
        revision(deployed, "gateway-retries/llama"),
        "gateway-secret/azure", "gateway-secret/lab", "gateway-authority/lab",
        *(f"gateway-{part}/azure/llama" for part in ("backend", "tls", "service", "credential")),
        *(f"gateway-{part}/bedrock/llama" for part in ("backend", "tls", "service", "credential")),
        *(f"gateway-{part}/lab/llama" for part in ("backend", "tls", "service", "credential")),
        *(f"gateway-{part}/vllm/llama" for part in ("backend", "service")),
    }  # fmt: skip


def test_no_envoy_starts_before_the_identity_it_calls_hosts_with_is_there(deployed: World):
    assert "identity" in before(deployed, "gateway-proxy")


def test_nothing_but_the_routes_of_its_models_comes_after_a_host(deployed: World):
    ready = {"server", "permission"}
    late = {each.name for each in deployed.resources if before(deployed, each.name) & ready}
    routes = {revision(deployed, f"gateway-route/{model}") for model in ("llama", "scout")}
    patches = {"gateway-succession/llama", "gateway-succession/scout"}
    assert late == {*routes, *patches, "gateway-learned", "gateway-followed"}


def test_a_route_does_not_wait_for_the_hosts_of_another_model(deployed: World):
    assert "server" not in before(deployed, revision(deployed, "gateway-route/scout"))


def test_every_object_of_the_gateway_comes_after_its_software_and_goes_before_it(deployed: World):
    objects = [resource.name for resource in deployed.resources if "envoyproxy.io" in resource.type]
    late = [name for name in objects if "gateway-software-ai-gateway" not in before(deployed, name)]
    assert (len(objects) > 10, late) == (True, [])


def test_the_software_comes_in_the_order_of_its_upgrades(deployed: World):
    assert before(deployed, "gateway-software-ai-gateway") >= {
        "nodes", "gateway-software-cert-manager", "gateway-software-gateway-definitions",
        "gateway-software-envoy-gateway", "gateway-software-ai-definitions",
    }  # fmt: skip


def test_the_controllers_are_apart(deployed: World):
    envoy_gateway, ai_gateway = (
        deployed[f"gateway-software-{name}"].inputs for name in ("envoy-gateway", "ai-gateway")
    )
    spreads = {
        envoy_gateway["name"]: envoy_gateway["values"]["deployment"]["pod"]["topologySpreadConstraints"],
        ai_gateway["name"]: ai_gateway["values"]["controller"]["topologySpreadConstraints"],
    }
    assert spreads == {
        name: [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": name}},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ]
        for name in ("gateway-helm", "ai-gateway-helm")
    }


def test_an_envoy_on_eks_is_ready_when_the_load_balancer_says_so(deployed: World):
    elsewhere = run(lambda: program(network="other"))
    labels = [world["gateway-software-envoy-namespace"].inputs["metadata"]["labels"] for world in (deployed, elsewhere)]
    gate = "eks.amazonaws.com/pod-readiness-gate-inject"
    assert [each.get(gate) for each in labels] == ["enabled", None]


def test_pulumi_waits_for_envoys_that_go_as_long_as_they_may_take(deployed: World):
    assert deployed["gateway-software-envoy-namespace"].delete_timeout == f"{600 + 300 + 600}s"


def test_envoy_ai_gateway_keeps_the_tenant_of_a_request_for_the_log(deployed: World):
    values = deployed["gateway-software-ai-gateway"].inputs["values"]
    assert values["controller"]["logRequestHeaderAttributes"] == "x-corral-tenant:tenant"


def test_charts_make_nothing_that_would_outlive_their_namespaces(deployed: World):
    """By `helm template`: the hooks of Envoy Gateway 1.8.3 that are in no namespace are those of its injector, and what
    cert-manager 1.21.2 has in kube-system is for its leases."""
    envoy_gateway = deployed["gateway-software-envoy-gateway"].inputs["values"]
    cert_manager = deployed["gateway-software-cert-manager"].inputs["values"]
    assert envoy_gateway["topologyInjector"] == {"enabled": False}
    assert cert_manager["global"]["leaderElection"] == {"namespace": "cert-manager"}


def test_cert_manager_is_left_alone_where_the_cluster_has_it():
    deployed = run(lambda: program(gateway=config.Gateway(cert_manager=False)))
    assert [name for name in names(deployed.resources) if "software-cert" in name] == []


def test_everything_of_the_load_balancer_is_below_it(deployed: World):
    component = deployed["gateway"].urn
    assert names([resource for resource in deployed.resources if resource.parent == deployed.stack]) == [
        "cluster", "gateway", "identity", "nodes", "permission", "server",
    ]  # fmt: skip
    assert names(
        [resource for resource in deployed.resources if resource.parent == component and not resource.custom]
    ) == [
        "gateway-software",
        "gateway-tenants",
    ]


def test_each_tenant_has_a_key_of_its_own_and_the_gateway_looks_it_up_by_the_tenant(deployed: World):
    secret = deployed["gateway-tenants-secret"]
    assert (
        names(deployed.of_type("RandomPassword")),
        secret.inputs["metadata"],
        sorted(entries(secret)),
        sorted(key for key, value in deployed.outputs["keys"].items() if isinstance(value, Secret)),
    ) == (
        ["gateway-tenants-search", "gateway-tenants-support"],
        {"name": "tenants", "namespace": "corral", "labels": {"stack": "test"}},
        ["search", "support"],
        ["search", "support"],
    )


def test_keys_that_a_stack_gives_are_taken_several_of_a_tenant_each_by_a_name_of_its_own():
    keys = {"search": (f"{NEVER}-old", f"{NEVER}-new")}
    deployed = run(lambda: program(credentials=CallerCredentials(keys, {})))
    held = entries(deployed["gateway-tenants-secret"])
    assert (names(deployed.of_type("RandomPassword")), sorted(held), held["search"], held["search.2"]) == (
        ["gateway-tenants-support"],
        ["search", "search.2", "support"],
        "sk-NEVER-old",
        "sk-NEVER-new",
    )
    assert deployed.outputs["keys"]["search"].value == "sk-NEVER-new"


def test_where_issuers_vouch_for_tenants_there_are_no_keys():
    issuer = Issuer("https://login.example.com/", ("corral",), "https://login.example.com/keys", None, "sub")
    tenants = [replace(each, claims=(each.name,)) for each in TENANTS]
    deployed = run(lambda: program(replace(SERVED, tenants=tuple(tenants), issuers=(issuer,))))
    secrets = [name for name in names(deployed.resources) if "tenants" in name]
    assert (secrets, deployed.outputs.get("keys")) == ([], {})


def counters(deployed: World) -> Any:
    values = deployed["gateway-software-envoy-gateway"].inputs["values"]["config"]["envoyGateway"]
    return values["provider"]["kubernetes"]


def test_what_counts_is_there_before_limits_are_and_only_where_there_are_any(deployed: World):
    limited = run(lambda: program(LIMITED))
    redis = [f"gateway-software-redis-{part}" for part in ("guard", "secret", "server", "service")]
    assert {"gateway-software-envoy-gateway", *redis} <= before(limited, "gateway-limits")
    assert set(redis) <= before(limited, "gateway-software-envoy-gateway")
    password = {"name": "REDIS_AUTH", "valueFrom": {"secretKeyRef": {"name": "corral-redis", "key": "password"}}}
    assert counters(limited) == {
        "rateLimitDeployment": {"replicas": 2, "container": {"env": [password]}},
        "rateLimitPDB": {"maxUnavailable": 1},
    }
    assert [name for name in names(deployed.resources) if "redis" in name or name == "gateway-limits"] == []
    assert counters(deployed) == {"rateLimitDeployment": {"replicas": 0}}


def test_the_gateway_always_knows_where_limits_are_counted_so_that_it_answers_while_they_go(deployed: World):
    settings = [
        world["gateway-software-envoy-gateway"].inputs["values"]["config"]["envoyGateway"]["rateLimit"]
        for world in (deployed, run(lambda: program(LIMITED)))
    ]
    redis = {"url": "corral-redis.envoy-gateway-system.svc.cluster.local:6379"}
    assert settings == [{"backend": {"type": "Redis", "redis": redis}, "timeout": "200ms"}] * 2


def test_redis_keeps_nothing_is_nobody_and_answers_only_who_counts():
    deployed = run(lambda: program(LIMITED))
    pod = deployed["gateway-software-redis-server"].inputs["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["securityContext"]["runAsNonRoot"], container["securityContext"], container["args"][:4]) == (
        True,
        {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        ["/etc/redis/redis.conf", "--save", "", "--appendonly"],
    )
    secret = entries(deployed["gateway-software-redis-secret"])
    assert secret["redis.conf"] == f"requirepass {secret['password']}\n"
    assert pod["volumes"] == [
        {
            "name": "configuration",
            "secret": {"secretName": "corral-redis", "items": [{"key": "redis.conf", "path": "redis.conf"}]},
        }
    ]
    assert [each["name"] for each in container["env"]] == ["REDISCLI_AUTH"]
    counting = {"app.kubernetes.io/name": "envoy-ratelimit", "app.kubernetes.io/component": "ratelimit"}
    assert deployed["gateway-software-redis-guard"].inputs["spec"] == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "corral-redis"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": counting}}],
                "ports": [{"protocol": "TCP", "port": 6379}],
            }
        ],
    }


def entries(secret: Recorded) -> dict[str, Any]:
    """What a secret holds; that it is marked as one is looked at too."""
    data = secret.inputs["stringData"]
    if isinstance(data, Secret):
        return data.value
    assert all(isinstance(value, Secret) for value in data.values())
    return {key: value.value for key, value in data.items()}


def test_a_hosts_key_is_in_a_secret_of_the_gateways_namespace_and_nowhere_else(deployed: World):
    written = [resource for resource in deployed.of_type("Secret") if not resource.read]
    secrets = [resource for resource in written if resource.name != "gateway-tenants-secret"]
    assert {secret.name: (secret.inputs["metadata"]["namespace"], entries(secret)) for secret in secrets} == {
        "gateway-secret/azure": ("corral", {"apiKey": "sk-NEVER-azure"}),
        "gateway-secret/lab": ("corral", {"apiKey": "sk-NEVER-lab"}),
    }


def test_a_host_with_certificates_of_its_own_is_verified_with_them(deployed: World):
    assert deployed["gateway-authority/lab"].inputs["data"] == {"ca.crt": CA}


def test_a_route_is_waited_for_until_there_is_a_condition_on_this_version_of_it(deployed: World):
    annotations = deployed[revision(deployed, "gateway-route/llama")].inputs["metadata"]["annotations"]
    assert annotations == {
        "corral/model": "llama",
        "pulumi.com/waitFor": "jsonpath={.status.conditions"
        "[?!(@.lastTransitionTime < $.metadata.managedFields[0].time)]}",
        "pulumi.com/timeoutSeconds": "180",
        "pulumi.com/deletionPropagationPolicy": "background",
    }


def test_what_envoy_ai_gateway_has_to_let_go_of_is_deleted_in_the_background(deployed: World):
    policy = "pulumi.com/deletionPropagationPolicy"
    policies = {
        resource.inputs["kind"]: resource.inputs["metadata"].get("annotations", {}).get(policy)
        for resource in deployed.resources
        if "envoyproxy.io" in resource.type
    }
    assert {kind for kind, how in policies.items() if how == "background"} == {
        "AIServiceBackend",
        "BackendSecurityPolicy",
        "AIGatewayRoute",
    }


def test_a_route_is_followed_when_it_is_known_everywhere_and_the_program_ends_when_every_envoy_follows_it(
    deployed: World,
):
    routes = {revision(deployed, f"gateway-route/{model.name}") for model in SERVED.models}
    patches = {f"gateway-succession/{model.name}" for model in SERVED.models}
    assert routes <= before(deployed, "gateway-learned")
    assert not patches & before(deployed, "gateway-learned")
    for patch in patches:
        assert "gateway-learned" in before(deployed, patch)
    assert patches <= before(deployed, "gateway-followed")


def test_a_cut_over_takes_the_time_of_the_stack_and_of_it_ten_seconds_for_the_envoys(deployed: World):
    short = run(lambda: program(gateway=config.Gateway.model_validate({"handover": "500ms"})))
    delays = [
        {name: world[f"gateway-{name}"].inputs["milliseconds"] for name in ("learned", "followed")}
        for world in (deployed, short)
    ]
    assert delays == [{"learned": 100_000, "followed": 10_000}, {"learned": 500, "followed": 500}]


def test_another_list_of_hosts_is_another_route_and_no_other_model_is_touched():
    was, now = (
        run(lambda served=served: program(served), checks=False)
        for served in (
            plan(model("llama", {"azure": 60, "bedrock": 40}), model("scout", {"bedrock": 100})),
            plan(model("llama", {"azure": 60, "vllm": 40}), model("scout", {"bedrock": 100})),
        )
    )
    changed = changes(was, now)
    for differing in (changed.create, changed.delete):
        names = {change.name.rpartition("/")[0] for change in differing if "/vllm" not in change.name}
        assert names >= {"gateway-route/llama", "gateway-retries/llama"}
        assert not any("scout" in change.name for change in differing)
    assert changed.replace == ()
    assert {change.name for change in changed.update} == {
        "gateway-hosts/llama",
        "gateway-succession/llama",
        "gateway-learned",
        "gateway-followed",
    }


def test_an_id_that_only_the_host_knows_gets_into_the_route(deployed: World):
    refs = deployed[revision(deployed, "gateway-route/llama")].inputs["spec"]["rules"][0]["backendRefs"]
    assert [ref["modelNameOverride"] for ref in refs] == [
        "deployed",
        "llama at bedrock",
        "llama at lab",
        "llama at vllm",
    ]


@pytest.mark.parametrize(
    ("gateway", "network", "url", "certificate"),
    [
        (config.Gateway(), "other", "https://corral-gateway.envoy-gateway-system.svc.cluster.local/v1", None),
        (
            config.Gateway(hostname="llm.example.com", certificate=config.IssuedCertificate(issuer="letsencrypt")),
            "eks",
            "https://llm.example.com/v1",
            "letsencrypt",
        ),
    ],
)
def test_the_url_is_what_clients_call(gateway: config.Gateway, network: Network, url: str, certificate: str | None):
    deployed = run(lambda: program(gateway=gateway, network=network))
    assert (deployed.outputs["url"], deployed.outputs.get("certificate")) == (url, certificate)


def test_a_host_that_nobody_translates_stops_the_program_with_the_way_out():
    with pytest.raises(pulumi.RunError, match="host azure speaks replicate, which the gateway does not translate"):
        run(lambda: program(protocol="replicate", credential=None))


def inputs(served: Plan) -> dict[str, tuple[str, Any]]:
    """Per URN the logical name and the inputs."""
    world = run(lambda: program(served), checks=False)
    return {resource.urn: (resource.name, resource.inputs) for resource in world.resources}


@settings(max_examples=5)
@given(edit=share_edits())
def test_a_share_edit_updates_one_resource(edit: tuple[Plan, Plan, str]):
    was, now = (inputs(one) for one in edit[:2])
    changed = [now[urn][0].rpartition("/")[0] for urn in {**was, **now} if was.get(urn) != now.get(urn)]
    assert changed == ([] if edit[0] == edit[1] else [f"gateway-route/{edit[2]}"])
