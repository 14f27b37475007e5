from typing import Any

import pytest

from corral.hosts.azure.component import AzureArgs, Deployment
from tests.hosts.site import site, stack

HOST: dict[str, Any] = {
    "kind": "azure",
    "location": "eastus2",
    "allowFrom": ["anywhere"],
    "capacity": {"llama-3.3-70b": 200, "ours": 10},
}


def deployed(**said: Any) -> tuple[Deployment, ...]:
    models = {"llama-3.3-70b": {"shares": {"azure": 0, "groq": 100}}, "ours": {"shares": {"azure": 100}}}
    if "ours" not in said.get("models", {}):
        del models["ours"]
    declared = stack({"azure": HOST | said, "groq": {"kind": "groq"}}, models)
    return AzureArgs.of("azure", site(declared)).deployments


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
