from __future__ import annotations

from typing import Any

from corral.gateway.drift import Difference, differences

_ROUTE = "kubernetes:aigateway.envoyproxy.io/v1beta1:AIGatewayRoute"
_SERVICE = "kubernetes:aigateway.envoyproxy.io/v1beta1:AIServiceBackend"
_SECRET = "kubernetes:core/v1:Secret"
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Inputs = dict[str, Any]


def route(**weights: int) -> Inputs:
    backends = [{"name": f"{host}-1", "weight": weight} for host, weight in weights.items()]
    metadata = {"name": "llama-1", "namespace": "corral", "annotations": {"corral/model": "llama-3.3-70b"}}
    return {"kind": "AIGatewayRoute", "metadata": metadata, "spec": {"rules": [{"backendRefs": backends}]}}


def service(host: str) -> Inputs:
    return {"kind": "AIServiceBackend", "metadata": {"name": f"{host}-1", "namespace": "corral"}}


def state(type_: str, inputs: Inputs, **more: Any) -> Inputs:
    return {"type": type_, "custom": True, "inputs": inputs, **more}


def steps(
    name: str,
    type_: str,
    declared: Inputs | None,
    deployed: Inputs | None,
    observed: Inputs | None,
    op: str = "update",
    **more: Any,
) -> list[dict[str, Any]]:
    """As a preview has them: what is gone is refreshed all the same, and planned anew."""
    urn = f"urn:pulumi:kind::corral::corral:gateway:Gateway${type_}::{name}"
    found: list[dict[str, Any]] = []
    if deployed is not None:
        kept = state(type_, deployed)
        found.append({"op": "refresh", "urn": urn, "oldState": kept, "newState": kept})
    planned = {"oldState": observed, "newState": declared}
    states = {key: state(type_, inputs) for key, inputs in planned.items() if inputs is not None}
    return [*found, {"op": op, "urn": urn, **states, **more}] if states else found


def of_route(declared: Inputs | None, deployed: Inputs | None, observed: Inputs | None, op: str = "update"):
    return differences(
        [
            *steps(
                "gateway-service/vllm/llama-3.3-70b",
                _SERVICE,
                service("vllm"),
                service("vllm"),
                service("vllm"),
                "same",
            ),
            *steps("gateway-route/llama-3.3-70b/1", _ROUTE, declared, deployed, observed, op),
        ]
    )


def test_nothing_differs_where_all_three_are_alike():
    assert of_route(route(vllm=60, lab=40), route(vllm=60, lab=40), route(vllm=60, lab=40), "same") == []


def test_a_weight_that_somebody_changed_on_the_cluster_is_named_by_its_host():
    assert of_route(route(vllm=60, lab=40), route(vllm=60, lab=40), route(vllm=5, lab=40)) == [
        Difference("route of llama-3.3-70b", "weight of vllm", 60, 60, 5)
    ]


def test_an_edit_that_was_not_deployed_differs_too():
    assert of_route(route(vllm=50, lab=40), route(vllm=60, lab=40), route(vllm=60, lab=40)) == [
        Difference("route of llama-3.3-70b", "weight of vllm", 50, 60, 60)
    ]


def test_a_change_on_the_cluster_that_the_stack_file_followed_leaves_the_state_behind():
    """As the provider says that the two are the same, what is declared is what is observed."""
    assert of_route(route(vllm=5, lab=40), route(vllm=60, lab=40), route(vllm=5, lab=40), "same") == [
        Difference("route of llama-3.3-70b", "weight of vllm", 5, 60, 5)
    ]


def test_a_host_that_was_put_into_a_route_by_hand():
    """The host whose object the stack does not have is called as the object is."""
    assert of_route(route(vllm=60), route(vllm=60), route(other=10, vllm=60)) == [
        Difference("route of llama-3.3-70b", "spec.rules[0].backendRefs.other-1.name", None, None, "other-1"),
        Difference("route of llama-3.3-70b", "weight of other-1", None, None, 10),
    ]


def test_what_is_gone_what_is_not_made_yet_and_what_is_to_go_are_differences_as_a_whole():
    lab = service("lab")
    name = "gateway-service/lab/llama-3.3-70b"

    def of(declared: Inputs | None, deployed: Inputs | None, observed: Inputs | None, op: str) -> list[Difference]:
        return differences(steps(name, _SERVICE, declared, deployed, observed, op))

    called = "AIServiceBackend corral/lab-1"
    assert of(lab, lab, None, "create") == [Difference(called, "", "there", "there", None)]
    assert of(lab, None, None, "create") == [Difference(called, "", "there", None, None)]
    assert of(None, lab, lab, "delete") == [Difference(called, "", None, "there", "there")]
    assert of(None, lab, None, "") == [Difference(called, "", None, "there", None)]


def test_a_secret_differs_without_its_value():
    def secret(**more: Any) -> Inputs:
        return {
            "kind": "Secret",
            "metadata": {"name": "tenants", "namespace": "corral"},
            "stringData": "[secret]",
            **more,
        }

    def of(op: str, **more: Any) -> list[Difference]:
        live = {"data": "[secret]"}
        return differences(steps("gateway-tenants-secret", _SECRET, secret(), secret(), secret(**live), op, **more))

    assert of("same") == []
    assert of("update", diffReasons=["stringData"]) == [
        Difference("Secret corral/tenants", "stringData", "another", "one", "one")
    ]


def test_what_only_the_update_will_know_is_not_compared_and_empty_is_absent():
    def of(declared: Any) -> list[Difference]:
        deployed = {
            "kind": "Backend",
            "metadata": {"name": "azure-1", "annotations": {}},
            "spec": {"host": "a", "port": 1},
        }
        planned = {"kind": "Backend", "metadata": {"name": "azure-1"}, "spec": {"host": declared, "port": 2}}
        return differences(steps("gateway-backend/azure/llama", "kubernetes:g/v1:Backend", planned, deployed, deployed))

    assert of(_UNKNOWN) == [Difference("Backend azure-1", "spec.port", 2, 1, 1)]
    assert of("b") == [
        Difference("Backend azure-1", "spec.host", "b", "a", "a"),
        Difference("Backend azure-1", "spec.port", 2, 1, 1),
    ]


def test_components_and_what_is_only_looked_up_are_none_of_it():
    component = {"type": "corral:gateway:Gateway", "inputs": {"a": 1}}
    read = state("kubernetes:core/v1:Service", {"a": 1}, external=True)
    urn = "urn:pulumi:kind::corral::corral:gateway:Gateway::gateway"
    assert (
        differences(
            [
                {"op": "update", "urn": urn, "oldState": component, "newState": {**component, "inputs": {"a": 2}}},
                {"op": "read", "urn": f"{urn}-service", "oldState": read, "newState": {**read, "inputs": {"a": 2}}},
            ]
        )
        == []
    )


def test_a_replacement_is_planned_in_steps():
    old, new = {"name": "a"}, {"name": "b"}
    urn = "urn:pulumi:prod::corral::corral:cluster:Eks$aws:ec2/vpc:Vpc::cluster-vpc"
    vpc = "aws:ec2/vpc:Vpc"
    assert differences(
        [
            {"op": "refresh", "urn": urn, "oldState": state(vpc, old), "newState": state(vpc, old)},
            {"op": "create-replacement", "urn": urn, "oldState": state(vpc, old), "newState": state(vpc, new)},
            {"op": "replace", "urn": urn, "oldState": state(vpc, old), "newState": state(vpc, new)},
            {"op": "delete-replaced", "urn": urn, "oldState": state(vpc, old)},
        ]
    ) == [Difference("Vpc cluster-vpc", "name", "b", "a", "a")]
