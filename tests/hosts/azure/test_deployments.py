from typing import Any

import pytest

from corral.catalog.load import load_catalog
from corral.config.hosts import AzureHost
from corral.config.stack import Stack
from corral.hosts.azure.deployments import Deployment, NoCapacityError, deployments
from corral.plan.build import build

CATALOG = load_catalog()
HOST: dict[str, Any] = {"kind": "azure", "location": "eastus2", "capacity": {"llama-3.3-70b": 200, "ours": 10}}


def deployed(**said: Any) -> tuple[Deployment, ...]:
    models = {"llama-3.3-70b": {"shares": {"azure": 0, "groq": 100}}, "ours": {"shares": {"azure": 100}}}
    if "ours" not in said.get("models", {}):
        del models["ours"]
    stack = Stack.model_validate(
        {"name": "test", "hosts": {"azure": HOST | said, "groq": {"kind": "groq"}}, "models": models}
    )
    host = stack.hosts["azure"]
    assert isinstance(host, AzureHost)
    return deployments(build(stack, CATALOG), "azure", host, CATALOG.hosts["azure"])


LLAMA = "Llama-3.3-70B-Instruct"


@pytest.mark.parametrize(
    ("said", "want"),
    [
        pytest.param({}, [Deployment("llama-3.3-70b", LLAMA, LLAMA, None, 200)], id="under Azure's name"),
        pytest.param(
            {"versions": {"llama-3.3-70b": "9"}},
            [Deployment("llama-3.3-70b", LLAMA, LLAMA, "9", 200)],
            id="in the version of the stack",
        ),
        pytest.param(
            {"models": {"llama-3.3-70b": "chat"}},
            [Deployment("llama-3.3-70b", "chat", LLAMA, None, 200)],
            id="under a name of one's own",
        ),
        pytest.param(
            {"models": {"llama-3.3-70b": "Llama-4-Maverick-17B-128E-Instruct-FP8"}},
            [
                Deployment(
                    "llama-3.3-70b",
                    "Llama-4-Maverick-17B-128E-Instruct-FP8",
                    "Llama-4-Maverick-17B-128E-Instruct-FP8",
                    None,
                    200,
                )
            ],
            id="another model that the catalog knows",
        ),
        pytest.param(
            {"models": {"ours": "Llama-Next"}},
            [
                Deployment("llama-3.3-70b", LLAMA, LLAMA, None, 200),
                Deployment("ours", "Llama-Next", "Llama-Next", None, 10),
            ],
            id="a model that the catalog does not know",
        ),
    ],
)
def test_the_id_of_the_plan_is_the_name_of_the_deployment(said: dict[str, Any], want: list[Deployment]):
    assert list(deployed(**said)) == want


def test_a_model_without_a_capacity_is_not_deployed():
    with pytest.raises(NoCapacityError) as caught:
        deployed(capacity={})
    assert str(caught.value) == ("azure gives llama-3.3-70b no capacity: set corral:hosts.azure.capacity.llama-3.3-70b")
