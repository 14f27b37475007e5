"""The whole program, on each of the example stacks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from corral.testing import NEVER, World
from corral.testing.changes import Change, Changes, changes
from corral.testing.recording import Secret, revealed, walk
from tests.gateway.deployed import KEYS, config_of, deploy

CLOUD = ("prod", "staging", "kind")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    return {stack: deploy(stack, tmp_path_factory.mktemp(stack)) for stack in CLOUD}


def shared(stack: str, model: str, shares: Mapping[str, int]) -> dict[str, Any]:
    config = config_of(stack)
    config["corral:models"][model]["shares"] = dict(shares)
    return config


@pytest.mark.parametrize(
    ("stack", "components"),
    [
        ("prod", {"Eks", "Bedrock", "Azure", "Vllm", "OpenAI", "Gateway"}),
        ("staging", {"Eks", "Bedrock", "OpenAI", "Gateway"}),
        ("kind", {"Existing", "Vllm", "OpenAI", "Gateway"}),
    ],
)
def test_a_stack_is_made_of_its_cluster_its_hosts_and_one_gateway(
    worlds: Mapping[str, World], stack: str, components: set[str]
):
    world = worlds[stack]
    top = [each for each in world.resources if each.parent == world.stack]
    assert {each.type.rpartition(":")[2] for each in top} == components
    assert {each.custom for each in top} == {False}


@pytest.mark.parametrize("stack", CLOUD)
def test_a_stack_gives_out_its_url_its_endpoints_and_a_key_for_each_tenant_as_a_secret(
    worlds: Mapping[str, World], stack: str
):
    outputs = worlds[stack].outputs
    models = config_of(stack)["corral:models"]
    named = {
        f"{host}/{model}"
        for model, model_config in models.items()
        for host in (*model_config["shares"], *model_config.get("fallback", []))
    }
    assert set(outputs["endpoints"]) == named
    assert str(outputs["url"]).endswith("/v1")
    assert [type(key) for key in outputs["keys"].values()] == [Secret]


def taggable(world: World) -> Iterator[tuple[str, Mapping[str, str]]]:
    for each in world.resources:
        if "tags" in each.inputs:
            yield each.urn, each.inputs["tags"]


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_all_that_has_tags_says_whose_it_is(worlds: Mapping[str, World], stack: str):
    tags_of = dict(taggable(worlds[stack]))
    assert len(tags_of) > 10
    want = {"managed-by": "corral", "corral-stack": stack}
    assert {urn for urn, tags in tags_of.items() if not want.items() <= tags.items()} == set()


@pytest.mark.parametrize("stack", CLOUD)
def test_no_policy_allows_every_action_or_resources_without_a_bound(worlds: Mapping[str, World], stack: str):
    policies = [each for each in worlds[stack].resources if each.type.startswith("aws:iam/rolePolicy:")]
    assert bool(policies) == (stack != "kind")
    for policy in policies:
        for statement in json.loads(revealed(policy.inputs["policy"]))["Statement"]:
            actions, resources = statement["Action"], statement["Resource"]
            assert not any("*" in action for action in ([actions] if isinstance(actions, str) else actions))
            bound = "aws:RequestTag/eks:eks-cluster-name" in statement.get("Condition", {}).get("StringEquals", {})
            assert bound or "*" not in ([resources] if isinstance(resources, str) else resources)


@pytest.mark.parametrize("stack", CLOUD)
def test_a_key_is_nowhere_but_in_the_gateways_secrets(worlds: Mapping[str, World], stack: str):
    places = {
        (each.type, path)
        for each in worlds[stack].resources
        for path, value, _ in walk(each.inputs)
        if isinstance(value, str) and NEVER in value
    }
    assert places == {("kubernetes:core/v1:Secret", "stringData.apiKey")}


@pytest.mark.parametrize("stack", CLOUD)
def test_nothing_faces_the_internet_unless_the_stack_asks(worlds: Mapping[str, World], stack: str):
    world = worlds[stack]
    for cluster in world.of_type("aws:eks/cluster:Cluster"):
        assert config_of(stack)["corral:cluster"]["publicFrom"] == ["anywhere"]
        assert cluster.inputs["vpcConfig"]["publicAccessCidrs"] == ["0.0.0.0/0"]
    for account in world.of_type("azure-native:cognitiveservices:Account"):
        assert account.inputs["properties"]["networkAcls"]["defaultAction"] == "Deny"
    schemes = [
        value for each in world.of_type("EnvoyProxy") for path, value, _ in walk(each.inputs) if "scheme" in path
    ]
    assert "internet-facing" not in schemes


@pytest.mark.parametrize("protect", [True, False], ids=["protected", "not protected"])
def test_what_would_be_lost_with_all_that_is_in_it_is_protected_where_the_stack_says_so(protect: bool, tmp_path: Path):
    config = config_of("prod") | {"corral:protect": protect}
    world = deploy("prod", tmp_path, config)
    assert {each.name for each in world.resources if each.protect} == (
        {"cluster-cluster", "cluster-secrets", "cluster-logs", "azure-account"} if protect else set()
    )
    assert world["cluster-cluster"].inputs["deletionProtection"] == protect


MOVES = [
    ("prod", "llama-3.3-70b", {"bedrock": 20, "azure": 30, "vllm": 50}),
    ("prod", "llama-4-maverick", {"bedrock": 100, "azure": 0}),
    ("staging", "llama-3.3-70b", {"bedrock": 0, "deepinfra": 100}),
    ("kind", "llama-3.3-70b", {"vllm": 1, "deepinfra": 99}),
]


@pytest.mark.parametrize(("stack", "model", "shares"), MOVES)
def test_an_edited_share_updates_the_models_route_and_nothing_else(
    worlds: Mapping[str, World], stack: str, model: str, shares: Mapping[str, int], tmp_path: Path
):
    moved = deploy(stack, tmp_path, shared(stack, model, shares))
    changed = changes(worlds[stack], moved)
    (update,) = changed.update
    assert changed == Changes(update=(update,))
    assert (update.type.rpartition(":")[2], model in update.name) == ("AIGatewayRoute", True)
    assert {re.sub(r"\d+", "N", path) for path in update.properties} == {
        "spec.rules[N].backendRefs[N].weight",
        "spec.rules[N].backendRefs[N].headerMutation.set[N].value",
    }
    traces = [world.outputs["plan"]["models"] for world in (worlds[stack], moved)]
    assert {name for name in traces[0] if traces[0][name] != traces[1][name]} == {model}


def test_a_key_in_a_store_is_nowhere_in_pulumi_and_its_secret_is_there_before_it_is_named(tmp_path: Path):
    config = config_of("prod")
    config["corral:cluster"]["addons"] = {"externalSecrets": "present"}
    keys = {"deepinfra": "llm/a", "together": "llm/b"}
    config["corral:secretStore"] = {"name": "aws", "refresh": "15m", "keys": keys}
    world = deploy("prod", tmp_path, config, keys={})
    secrets = {each.name for each in world.of_type("kubernetes:core/v1:Secret")}
    assert secrets & {f"gateway-secret/{host}" for host in ("azure", *keys)} == {"gateway-secret/azure"}
    stored = {each.name: each for each in world.of_type("ExternalSecret")}
    assert {name: each.inputs["spec"] for name, each in stored.items()} == {
        f"gateway-secret/{host}": {
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "aws"},
            "refreshInterval": "900s",
            "data": [{"secretKey": "apiKey", "remoteRef": {"key": key}}],
        }
        for host, key in keys.items()
    }
    assert {each.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] for each in stored.values()} == {
        "condition=Ready"
    }
    for policy in world.of_type("BackendSecurityPolicy"):
        host = policy.inputs["metadata"]["annotations"]["corral/host"]
        named = policy.inputs["spec"].get("apiKey", {}).get("secretRef", {}).get("name")
        if secret := stored.get(f"gateway-secret/{host}"):
            assert (named, secret.urn in policy.dependencies) == (secret.inputs["metadata"]["name"], True)


def test_the_operator_that_the_stack_installs_reads_the_secrets_that_it_names_and_no_others(tmp_path: Path):
    config = config_of("prod")
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:llm/b-AbCdEf"
    config["corral:cluster"]["addons"] = {"externalSecrets": "install"}
    config["corral:secretStore"] = {"name": "aws", "keys": {"deepinfra": "llm/a", "together": {"key": arn}}}
    world = deploy("prod", tmp_path, config, keys={})
    (written,) = json.loads(world["addons-identity-policy-1"].inputs["policy"])["Statement"]
    below = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
    assert (written["Action"], sorted(written["Resource"])) == (
        ["secretsmanager:GetSecretValue"],
        [f"{below}llm/a-??????", arn],
    )
    association, release, store = (world[f"addons-{part}"] for part in ("identity-association", "secrets", "store"))
    assert (association.inputs["namespace"], association.inputs["serviceAccount"]) == (
        release.inputs["namespace"],
        release.inputs["name"],
    )
    assert (store.inputs["metadata"]["name"], store.inputs["spec"]) == (
        "aws",
        {
            "provider": {"aws": {"service": "SecretsManager", "region": "us-east-1"}},
            "conditions": [
                {"namespaceSelector": {"matchLabels": {"managed-by": "corral", "corral-stack": "prod"}}},
            ],
        },
    )
    namespaces = {each.inputs["metadata"]["name"]: each.inputs["metadata"] for each in world.of_type("v1:Namespace")}
    selected = store.inputs["spec"]["conditions"][0]["namespaceSelector"]["matchLabels"].items()
    for each in world.of_type("ExternalSecret"):
        assert selected <= namespaces[each.inputs["metadata"]["namespace"]]["labels"].items()
    assert association.urn in release.dependencies
    assert release.urn in store.dependencies
    assert {store.urn in each.dependencies for each in world.of_type("ExternalSecret")} == {True}


def test_keda_and_a_prometheus_are_there_before_what_they_scale_where_the_stack_has_them_installed(tmp_path: Path):
    config = config_of("prod")
    url = "http://prometheus-operated.monitoring.svc.cluster.local:9090"
    config["corral:cluster"] |= {
        "prometheus": {"url": url},
        "addons": {"keda": "install", "prometheusOperator": "install"},
    }
    world = deploy("prod", tmp_path, config)
    installed = {part: world[f"addons-{part}"] for part in ("keda", "prometheus")}
    assert {
        part: [release.inputs[key] for key in ("name", "namespace", "version", "skipCrds")]
        for part, release in installed.items()
    } == {
        "keda": ["keda", "keda", "2.20.2", True],
        "prometheus": ["kube-prometheus-stack", "monitoring", "88.5.3", False],
    }
    monitored = [*world.of_type("ServiceMonitor"), *world.of_type("PodMonitor")]
    scaled = world.of_type("ScaledObject")
    assert (len(monitored) > 1, len(scaled) > 1) == (True, True)
    assert {each.inputs["metadata"]["labels"]["release"] for each in monitored} == {"kube-prometheus-stack"}
    triggers = [trigger for each in scaled for trigger in each.inputs["spec"]["triggers"]]
    assert {each["metadata"]["serverAddress"] for each in triggers if each["type"] == "prometheus"} == {url}
    releases = {release.urn for release in installed.values()}
    by_urn = {each.urn: each for each in world.resources}
    for each in (*monitored, *scaled):
        before, ahead = set[str](), [each.urn]
        while ahead:
            found = {urn for urn in by_urn[ahead.pop()].dependencies if urn in by_urn} - before
            ahead += found
            before |= found
        assert releases <= before


def test_a_host_that_leaves_its_last_model_goes_with_all_it_has_and_touches_no_other(
    worlds: Mapping[str, World], tmp_path: Path
):
    config = config_of("prod")
    config["corral:models"]["llama-3.3-70b"]["fallback"] = ["deepinfra"]
    changed = changes(worlds["prod"], deploy("prod", tmp_path, config))
    others = [change.name for change in changed.delete if "together" not in change.name]
    assert [name.rpartition("/")[0] for name in others] == [change.name.rpartition("/")[0] for change in changed.create]
    assert {name.rpartition("/")[0] for name in others} == {
        "gateway-route/llama-3.3-70b",
        "gateway-retries/llama-3.3-70b",
    }
    assert Change("corral:hosts:OpenAI", "together", ()) in changed.delete
    assert changed.replace == ()
    assert {change.name for change in changed.update} == {
        "gateway-hosts/llama-3.3-70b",
        "gateway-succession/llama-3.3-70b",
        "gateway-learned",
        "gateway-followed",
    }


def test_a_route_is_made_after_everything_its_hosts_need(worlds: Mapping[str, World]):
    world = worlds["prod"]
    (route,) = (each for each in world.of_type("AIGatewayRoute") if "llama-3.3-70b" in each.name)
    before = {urn.split("::")[2].rpartition("$")[2] for urn in route.dependencies}
    assert {
        "kubernetes:apps/v1:Deployment",
        "azure-native:cognitiveservices:Deployment",
        "pulumi-python:dynamic/bedrock:ModelAccess",
    } <= before


def test_bedrock_comes_to_envoys_that_have_an_identity_and_to_a_route_that_waits_for_its_permission(tmp_path: Path):
    config = config_of("staging")
    bedrock = config["corral:hosts"].pop("bedrock")
    del config["corral:models"]["llama-4-maverick"]
    config["corral:models"]["llama-3.3-70b"]["shares"] = {"deepinfra": 100}
    without = deploy("staging", tmp_path, config)
    assert without["gateway-identity-association"].urn in without["gateway-proxy"].dependencies
    config["corral:hosts"]["bedrock"] = bedrock
    config["corral:models"]["llama-3.3-70b"]["shares"] = {"deepinfra": 50, "bedrock": 50}
    world = deploy("staging", tmp_path, config)
    created = {change.name for change in changes(without, world).create}
    assert {name for name in created if "identity" in name} == {"gateway-identity-policy-1"}
    (route,) = (each for each in world.of_type("AIGatewayRoute") if "llama-3.3-70b" in each.name)
    assert world["gateway-identity-policy-1"].urn in route.dependencies


CREDENTIALS = f"[default]\naws_access_key_id = AKIA\naws_secret_access_key = {NEVER}\n"


def test_bedrock_is_called_with_credentials_in_a_file_where_the_cluster_has_no_identity(tmp_path: Path):
    config = config_of("kind")
    config["corral:hosts"]["bedrock"] = {"region": "us-east-1"}
    config["corral:models"]["llama-3.3-70b"]["fallback"] = ["bedrock"]
    with pytest.raises(pulumi.RunError, match="bedrock is called with credentials of AWS, the cluster of corral:clus"):
        deploy("kind", tmp_path, config)
    world = deploy("kind", tmp_path, config, {**KEYS, "bedrock": CREDENTIALS})
    assert world["gateway-secret/bedrock"].inputs["stringData"] == Secret({"credentials": CREDENTIALS})
    policy = world["gateway-credential/bedrock/llama-3.3-70b"]
    assert policy.inputs["spec"]["awsCredentials"]["credentialsFile"]["secretRef"]["name"].startswith("bedrock-")
    assert world["gateway-secret/bedrock"].urn in policy.dependencies


REFUSED = [
    pytest.param(
        "prod",
        {"corral:models": {"llama-3.3-70b": {"shares": {"bedrock": 90}}}},
        KEYS,
        "corral:models.llama-3.3-70b.shares: 90, must be 100: give 10 more to bedrock",
        id="a_config_that_does_not_validate",
    ),
    pytest.param(
        "prod",
        {"corral:residency": ["eu"]},
        KEYS,
        "residency/llama-3.3-70b/bedrock",
        id="a_plan_with_errors",
    ),
    pytest.param(
        "prod",
        {},
        {"deepinfra": KEYS["deepinfra"]},
        "together is called with a key, and corral:keys has none for it",
        id="a_key_that_is_not_there",
    ),
    pytest.param("local", {}, KEYS, "nothing to provision: corral serve --stack local", id="a_stack_for_one_machine"),
    pytest.param(
        "prod",
        {"aws:region": "us-east-1", "corral:engine": "kubernetes"},
        KEYS,
        "corral:engine: must be a mapping",
        id="a_text_in_the_place_of_an_object",
    ),
]


@pytest.mark.parametrize(("stack", "more", "keys", "message"), REFUSED)
def test_a_stack_that_is_refused_gets_words_and_no_resource(
    stack: str, more: Mapping[str, Any], keys: Mapping[str, str], message: str, tmp_path: Path
):
    with pytest.raises(pulumi.RunError, match=re.escape(message)):
        deploy(stack, tmp_path, {**config_of(stack), **more}, keys)


def test_bedrock_is_called_from_within_the_clusters_network_where_the_stack_asks(
    worlds: Mapping[str, World], tmp_path: Path
):
    config = config_of("prod")
    config["corral:hosts"]["bedrock"]["vpcEndpoint"] = True
    world = deploy("prod", tmp_path, config)
    cluster, clients, endpoint = (
        world[f"{name}"].inputs for name in ("cluster-cluster", "bedrock-endpoint-clients", "bedrock-endpoint")
    )
    private = [f"cluster-network-{zone}-private-id" for zone in (1, 2, 3)]
    assert (endpoint["vpcId"], endpoint["subnetIds"]) == ("cluster-network-vpc-id", private)
    assert cluster["vpcConfig"]["subnetIds"] == private
    assert [rule["securityGroups"] for rule in clients["ingress"]] == [
        ["cluster-cluster-vpcConfig-clusterSecurityGroupId"]
    ]
    changed = changes(worlds["prod"], world)
    assert [change.name for change in changed.create] == ["bedrock-endpoint-clients", "bedrock-endpoint"]
    assert (changed.update, changed.replace, changed.delete) == ((), (), ())


def test_a_host_added_to_the_file_needs_no_change_in_the_program(worlds: Mapping[str, World], tmp_path: Path):
    config = config_of("staging")
    config["corral:hosts"]["lab"] = {
        "kind": "openai",
        "url": "https://llm.lab.example.com/v1",
        "auth": "none",
        "models": {"llama-3.3-70b": "Llama-3.3-70B"},
    }
    config["corral:models"]["llama-3.3-70b"]["fallback"] = ["lab"]
    world = deploy("staging", tmp_path, config)
    assert world.outputs["endpoints"]["lab/llama-3.3-70b"] == "https://llm.lab.example.com:443/v1"
    changed = changes(worlds["staging"], world)
    others = {change.name.rpartition("/")[0] for change in changed.create if "lab" not in change.name}
    assert others == {"gateway-route/llama-3.3-70b", "gateway-retries/llama-3.3-70b"}
    assert {change.name.rpartition("/")[0] for change in changed.delete} == others
    assert changed.replace == ()
