"""The gateway that a drill makes on a cluster, as its program registers it, and how it is removed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from corral.config.cluster import Gateway, GivenCertificate, KubeconfigCluster
from corral.gateway.drill import DrillArgs, DrillError, DrillHost, Kubectl, deploy_drill, remove
from corral.plan.plan import Plan
from corral.testing import NEVER, World, changes, run
from tests.gateway.manifests.plans import model, plan, tenant

WHOLE = plan(model("llama", {"azure": 60, "bedrock": 40}, ["vllm"]), tenants=[tenant("drill", "llama")])

ARGS = DrillArgs(
    gateway=Gateway(public=True, hostname="llm.example.com", certificate=GivenCertificate(secret="ingress/llm")),
    registry=None,
    cluster=KubeconfigCluster(kubeconfig="/home/me/kubeconfig"),
    image="registry.example.com/corral-drill",
    hosts={
        "azure": DrillHost(8001, "/openai/v1", "api-key", f"{NEVER}-azure"),
        "bedrock": DrillHost(8002, "", "authorization", f"{NEVER}-bedrock"),
        "vllm": DrillHost(8003, "/v1", None, None),
    },
    description=f"{NEVER}-description",
    token=f"{NEVER}-token",
    keys={"drill": f"{NEVER}-tenant"},
)


def deployed(served: Plan = WHOLE) -> World:
    return run(lambda: deploy_drill(ARGS, WHOLE, served))


def test_a_drill_makes_objects_of_its_own_names_alone_and_installs_nothing():
    world = deployed()
    objects = [each for each in world.resources if each.type.startswith("kubernetes:") and "metadata" in each.inputs]
    assert {each.inputs["metadata"].get("namespace") for each in objects} == {"corral-drill", None}
    assert {
        (each.type.rpartition(":")[2], each.inputs["metadata"]["name"])
        for each in objects
        if "namespace" not in each.inputs["metadata"]
    } == {("Namespace", "corral-drill"), ("GatewayClass", "corral-drill")}
    assert all(each.inputs["metadata"]["labels"]["corral-drill"] == "test" for each in objects)
    assert not [each for each in world.resources if "helm" in each.type]


def test_its_gateway_is_reached_from_within_the_cluster_alone():
    spec = deployed()["gateway-gateway"].inputs["spec"]
    assert [(each["port"], each["protocol"]) for each in spec["listeners"]] == [(443, "HTTPS")]
    service = deployed()["gateway-proxy"].inputs["spec"]["provider"]["kubernetes"]["envoyService"]
    assert (service["name"], service["type"]) == ("corral-drill-gateway", "ClusterIP")


def test_every_host_is_reached_at_its_service_with_a_key_of_the_drill():
    world = deployed()
    assert world["gateway-backend/azure/llama"].inputs["spec"]["endpoints"] == [
        {"fqdn": {"hostname": "azure-79f43c.corral-drill.svc.cluster.local", "port": 80}}
    ]
    assert world["gateway-service/azure/llama"].inputs["spec"]["schema"] == {"name": "OpenAI", "prefix": "/openai/v1"}
    assert world["gateway-credential/azure/llama"].inputs["spec"]["type"] == "AzureAPIKey"
    assert world["gateway-credential/bedrock/llama"].inputs["spec"]["type"] == "APIKey"


def test_a_move_changes_the_route_and_a_host_that_is_taken_out_another_revision_of_it():
    swapped = replace(WHOLE, models=(model("llama", {"azure": 40, "bedrock": 60}, ["vllm"]),))
    edited = changes(deployed(), deployed(swapped))
    assert [each.name.split("/")[0] for each in edited.update] == ["gateway-route"]
    assert (edited.create, edited.replace, edited.delete) == ((), (), ())
    without = replace(WHOLE, models=(model("llama", {"bedrock": 100}, ["vllm"]),))
    cut_over = changes(deployed(swapped), deployed(without))
    assert sorted(each.name.split("/")[0] for each in cut_over.create) == ["gateway-retries", "gateway-route"]
    assert sorted(each.name.split("/")[0] for each in cut_over.delete) == ["gateway-retries", "gateway-route"]


class Recorder(Kubectl):
    """Answers in the place of a cluster."""

    def __init__(self, namespace: str, failing: str = "-") -> None:
        super().__init__(Path("kubeconfig"), "kind")
        self.namespace, self.failing, self.ran = namespace, failing, []

    def run(self, *arguments: str) -> str:
        self.ran.append(" ".join(arguments[:2]))
        if arguments[1] == self.failing:
            raise DrillError(f"kubectl {arguments[0]}: timed out")
        return self.namespace if arguments[0] == "get" else ""


def namespace(**labels: str) -> str:
    return json.dumps({"metadata": {"labels": labels}})


def test_nothing_is_left_of_a_drill_whichever_way_it_ended():
    kubectl = Recorder(namespace(**{"corral-drill": "prod"}))
    assert remove(kubectl)
    assert kubectl.ran == [
        "get namespace",
        "delete namespace",
        "delete gatewayclass",
        "wait --for=delete",
    ]
    assert not remove(Recorder(""))


def test_a_namespace_of_somebody_else_is_left_alone():
    kubectl = Recorder(namespace(team="search"))
    with pytest.raises(DrillError, match="a namespace corral-drill that no drill has made"):
        remove(kubectl)
    assert kubectl.ran == ["get namespace"]


def test_what_is_left_is_said_with_the_commands_that_remove_it():
    with pytest.raises(DrillError) as failed:
        remove(Recorder(namespace(**{"corral-drill": "prod"}), failing="gatewayclass"))
    assert str(failed.value) == (
        "kubectl delete: timed out\n"
        "Not all of the drill is removed from the cluster. The stack's own gateway is as it was. The next drill tries "
        "again, and so do:\n"
        "  kubectl --kubeconfig=kubeconfig --context=kind delete gatewayclass --selector corral-drill "
        "--ignore-not-found --timeout=300s\n"
        "  kubectl --kubeconfig=kubeconfig --context=kind wait --for=delete deployment,service "
        "--namespace=envoy-gateway-system --selector gateway.envoyproxy.io/owning-gateway-name=corral-drill "
        "--timeout=300s"
    )
