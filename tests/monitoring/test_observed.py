"""What a Prometheus knows of a model: the queries by a real one's arithmetic, its answers as it writes them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from corral.monitoring.observed import PrometheusError, Sample, observe, observed, queries
from corral.plan.plan import ModelPlan
from corral.plan.ramps import Observed, ObservedHost
from tests.monitoring.test_rules import CLUSTERS, promtool  # noqa: F401 (a fixture)
from tests.plan.world import LLAMA, build

MODEL = build({LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40}, "fallback": ["lab"]}}).models[0]
OF = f'gen_ai_original_model="{LLAMA}"'
AT_BEDROCK, AT_DEEPINFRA = ({"gen_ai_request_model": name} for name in ("us.meta.llama3-3", "Llama-3.3-Turbo"))
BEDROCK, DEEPINFRA = (f'{OF},gen_ai_request_model="{at["gen_ai_request_model"]}"' for at in (AT_BEDROCK, AT_DEEPINFRA))
COUNT = "gen_ai_server_request_duration_seconds_count"
FIRST = "gen_ai_server_time_to_first_token_seconds_bucket"
TOKENS = "gen_ai_client_token_usage_sum"

SERIES = {
    f'envoy_cluster_upstream_rq_xx{{{CLUSTERS},envoy_response_code_class="2"}}': "0+60x30",
    f'envoy_cluster_upstream_rq_xx{{{CLUSTERS},envoy_response_code_class="5"}}': "0+6x30",
    f"envoy_cluster_outlier_detection_ejections_active{{{CLUSTERS}}}": "0x30",
    f"{COUNT}{{{BEDROCK}}}": "0+40x30",
    f"{COUNT}{{{DEEPINFRA}}}": "0+24x30",
    f'{COUNT}{{{DEEPINFRA},error_type="_OTHER"}}': "0+3x30",
    f'{FIRST}{{{DEEPINFRA},le="0.5"}}': "0+19x30",
    f'{FIRST}{{{DEEPINFRA},le="1"}}': "0+20x30",
    f'{FIRST}{{{DEEPINFRA},le="+Inf"}}': "0+20x30",
    f'{TOKENS}{{{DEEPINFRA},gen_ai_token_type="input"}}': "0+1000x30",
    f'{TOKENS}{{{DEEPINFRA},gen_ai_token_type="output"}}': "0+500x30",
    f'{TOKENS}{{{DEEPINFRA},gen_ai_token_type="cached_input"}}': "0+400x30",
}
"""A scrape a minute, for half an hour."""

TEN_MINUTES = {
    "requests": [({"envoy_response_code_class": "2"}, 600), ({"envoy_response_code_class": "5"}, 60)],
    "ejected": [({}, 0)],
    "attempts": [
        (AT_BEDROCK, 400),
        (AT_DEEPINFRA, 270),
    ],
    "failed": [(AT_DEEPINFRA, 30)],
    "first": [(AT_DEEPINFRA, 0.5)],
    "tokens": [
        ({**AT_DEEPINFRA, "gen_ai_token_type": "input"}, 10_000),
        ({**AT_DEEPINFRA, "gen_ai_token_type": "output"}, 5_000),
        ({**AT_DEEPINFRA, "gen_ai_token_type": "cached_input"}, 4_000),
    ],
}
"""By query the labels and values of its samples."""

BOTH = Observed(
    requests=660,
    lost=60,
    hosts={
        "bedrock": ObservedHost(400, 0, False, None, 0, 0),
        "deepinfra": ObservedHost(270, 30, False, 500, 10_000, 5_000),
        "lab": ObservedHost(0, 0, False, None, 0, 0),
    },
)


def samples(results: dict[str, list[tuple[dict[str, str], float]]]) -> dict[str, list[Sample]]:
    return {
        name: [Sample(metric=labels, value=(1_700_000_000.0, str(value))) for labels, value in found]
        for name, found in results.items()
    }


def written(labels: dict[str, str]) -> str:
    return f"{{{','.join(f'{key}={json.dumps(text)}' for key, text in labels.items())}}}"


def test_prometheus_finds_by_the_queries_what_the_metrics_hold(promtool: str, tmp_path: Path):  # noqa: F811
    expressions = queries(MODEL, 600)
    assert expressions.keys() == TEN_MINUTES.keys()
    test = {
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in SERIES.items()],
                "promql_expr_test": [
                    {
                        "expr": expressions[name],
                        "eval_time": "20m",
                        "exp_samples": [{"labels": written(labels), "value": value} for labels, value in found],
                    }
                    for name, found in TEN_MINUTES.items()
                ],
            }
        ]
    }
    (tmp_path / "test.json").write_text(json.dumps(test))
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "test.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_found_is_told_by_host():
    assert observed(MODEL, samples(TEN_MINUTES)) == BOTH


def test_of_hosts_with_the_same_id_the_only_one_that_shares_has_all_and_several_are_unknown():
    def with_id(model_id: str, *hosts: str) -> ModelPlan:
        targets = (replace(each, model_id=model_id) if each.host in hosts else each for each in MODEL.targets)
        return replace(MODEL, targets=tuple(targets))

    alone = with_id("Llama-3.3-Turbo", "deepinfra", "lab")
    hosts = {host: BOTH.hosts[host] for host in ("bedrock", "deepinfra")}
    assert observed(alone, samples(TEN_MINUTES)) == replace(BOTH, hosts=hosts)
    several = with_id("Llama-3.3-Turbo", "bedrock", "deepinfra")
    assert observed(several, samples(TEN_MINUTES)) == replace(BOTH, hosts={"lab": BOTH.hosts["lab"]})


def test_of_an_ejected_host_only_the_model_is_known_and_what_is_not_a_number_is_unknown():
    results = samples({**TEN_MINUTES, "ejected": [({}, 1)], "first": [(AT_DEEPINFRA, float("nan"))]})
    assert observed(MODEL, results) == replace(
        BOTH,
        hosts={host: replace(of, ejected=True, first_byte_p95=None) for host, of in BOTH.hosts.items()},
    )


def answering(monkeypatch: pytest.MonkeyPatch, status: int, body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text=body))
    client = httpx.Client
    monkeypatch.setattr(
        "corral.monitoring.observed.httpx.Client", lambda **settings: client(**settings, transport=transport)
    )


EMPTY = '{"status":"success","data":{"resultType":"vector","result":[]}}'


def test_a_prometheus_that_has_seen_nothing_knows_of_no_request(monkeypatch: pytest.MonkeyPatch):
    answering(monkeypatch, 200, EMPTY)
    nothing = ObservedHost(0, 0, False, None, 0, 0)
    assert observe("http://prometheus", MODEL, 60) == Observed(
        0, 0, dict.fromkeys(("bedrock", "deepinfra", "lab"), nothing)
    )


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (
            400,
            '{"status":"error","errorType":"bad_data","error":"invalid parameter \\"query\\": 1:1: parse error"}',
            'Prometheus at http://prometheus answers 400: invalid parameter "query": 1:1: parse error',
        ),
        (502, "Bad Gateway\n", "Prometheus at http://prometheus answers 502: Bad Gateway"),
        (200, "<html>", "what answers at http://prometheus is no Prometheus"),
    ],
)
def test_a_prometheus_that_cannot_say_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, status: int, body: str, message: str
):
    answering(monkeypatch, status, body)
    with pytest.raises(PrometheusError) as error:
        observe("http://prometheus", MODEL, 60)
    assert str(error.value) == message
