from __future__ import annotations

from corral.hosts.vllm.server import Server
from corral.plan.plan import Fit
from tests.hosts.vllm.stack import FP8, GPUS, LLAMA, served, server, stack


def test_a_server_is_what_the_plan_and_the_stack_say_of_it():
    assert server() == Server(
        host="vllm",
        model=LLAMA,
        served_as=LLAMA,
        weights=FP8,
        image="vllm/vllm-openai:v0.29.0",
        fit=Fit("g6e.12xlarge", 4, 4, 128_000, 1, 4),
        drain_seconds=600,
    )


def test_a_server_is_found_under_a_name_of_its_own_in_its_hosts_namespace():
    assert server().hostname == "llama-3-3-70b-3026a7.corral-vllm.svc.cluster.local"


def test_a_model_that_the_stack_does_not_route_to_the_host_gets_no_server():
    weights = {LLAMA: FP8, "llama-3.1-8b": "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8"}
    assert [each.model for each in served(stack({"gpus": GPUS, "modelWeights": weights}))] == [LLAMA]


def test_without_gpus_there_is_a_server_that_needs_none():
    assert (server(gpus=None).fit, server(gpus=None).scales) == (None, False)


def test_a_host_that_knows_the_model_by_another_name_serves_it_as_that():
    assert server(models={LLAMA: "house-llama"}).served_as == "house-llama"
