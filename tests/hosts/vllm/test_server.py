from __future__ import annotations

from dataclasses import replace

import pytest

from corral.hosts.vllm.server import Server, arguments, environment
from corral.plan.gpus import Fit
from tests.hosts.vllm.stack import FP8, GPUS, LLAMA, served, server, stack


def test_a_server_is_what_the_plan_and_the_stack_say_of_it():
    assert server() == Server(
        host="vllm",
        model=LLAMA,
        served_as=LLAMA,
        weights=FP8,
        image="vllm/vllm-openai:v0.29.0",
        fit=Fit("g6e.12xlarge", 4, 4, 128_000, 1, 4, cache=253_292),
        drain_seconds=600,
        create_seconds=1_320,
    )


def test_a_server_without_another_host_behind_its_model_has_all_the_time_that_it_may_take():
    alone = stack({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, {LLAMA: {"shares": {"vllm": 100}}})
    drained = stack({"gpus": GPUS, "modelWeights": {LLAMA: FP8}}, {LLAMA: {"shares": {"vllm": 100, "bedrock": 0}}})
    assert [[each.create_seconds for each in served(one)] for one in (alone, drained)] == [[5_400], [5_400]]


def test_a_server_is_found_under_a_name_of_its_own_in_its_hosts_namespace():
    assert server().hostname == "llama-3-3-70b-3026a7.corral-vllm.svc.cluster.local"


def test_a_model_that_the_stack_does_not_route_to_the_host_gets_no_server():
    weights = {LLAMA: FP8, "llama-3.1-8b": "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8"}
    assert [each.model for each in served(stack({"gpus": GPUS, "modelWeights": weights}))] == [LLAMA]


def test_without_gpus_there_is_a_server_that_needs_none():
    assert (server(gpus=None).fit, server(gpus=None).scales) == (None, False)


def test_a_host_that_knows_the_model_by_another_name_serves_it_as_that():
    assert server(models={LLAMA: "house-llama"}).served_as == "house-llama"


TOOLS_3 = [
    "--enable-auto-tool-choice",
    "--tool-call-parser",
    "llama3_json",
    "--chat-template",
    "examples/tool_chat_template_llama3.1_json.jinja",
]
TOOLS_4 = [
    "--enable-auto-tool-choice",
    "--tool-call-parser",
    "llama4_pythonic",
    "--chat-template",
    "examples/tool_chat_template_llama4_pythonic.jinja",
]


def test_a_server_on_gpus_is_told_everything():
    assert arguments(server()) == [
        *(FP8, "--served-model-name", LLAMA, "--port", "8000"),
        *("--tensor-parallel-size", "4", "--max-model-len", "128000", "--gpu-memory-utilization", "0.90"),
        *("--max-num-seqs", "128", "--shutdown-timeout", "600"),
        *TOOLS_3,
    ]


def test_a_simulator_is_told_what_it_serves_and_where():
    want = ["--model", FP8, "--served-model-name", LLAMA, "--port", "8000"]
    assert arguments(server(gpus=None, image="registry.example.com/simulator:v1")) == want


@pytest.mark.parametrize(
    ("model", "weights", "want"),
    [
        ("llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct", TOOLS_3),
        ("llama-4-scout", "RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic", TOOLS_4),
        ("house", "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", TOOLS_4),
        ("llama-4-scout", "s3://weights/scout", TOOLS_4),
        ("house", "acme/house", []),
    ],
)
def test_the_parser_of_tools_is_that_of_the_generation(model: str, weights: str, want: list[str]):
    told = arguments(replace(server(), model=model, weights=weights))
    after = told[told.index("--shutdown-timeout") + 2 :]
    assert [each for each in after if each in (*TOOLS_3, *TOOLS_4)] == want


@pytest.mark.parametrize(
    ("instance", "extra"),
    [
        ("g6e.12xlarge", '{"concurrency":16,"distributed":true}'),
        ("g7e.2xlarge", '{"concurrency":16}'),
    ],
)
def test_weights_in_s3_are_streamed(instance: str, extra: str):
    told = arguments(server({"instance": instance, "min": 1, "max": 1}, "s3://weights/Llama-3.3-70B-FP8"))
    assert told[-4:] == ["--load-format", "runai_streamer", "--model-loader-extra-config", extra]


PLAIN = [
    {"name": "HF_HOME", "value": "/cache/huggingface"},
    {"name": "VLLM_CACHE_ROOT", "value": "/cache/vllm"},
    {"name": "VLLM_NO_USAGE_STATS", "value": "1"},
]


def test_a_token_and_a_key_come_from_the_secrets_that_have_them():
    assert environment(server(), "us-east-1", token="vllm-stored", key="vllm") == [
        *PLAIN,
        {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "vllm-stored", "key": "token"}}},
        {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "vllm", "key": "key"}}},
    ]


def test_weights_in_s3_are_read_in_their_region():
    assert environment(server(weights="s3://weights/Llama-FP8"), "us-east-1") == [
        *PLAIN,
        {"name": "RUNAI_STREAMER_CHUNK_BYTESIZE", "value": "4294967296"},
        {"name": "AWS_REGION", "value": "us-east-1"},
    ]
