"""The part of a drill that is in a pod, and the record that comes back from it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from corral.local.drill.on_cluster import follow, prepare
from corral.local.drill.pod import CONTROL_PORT, ports, serve
from corral.local.drill.pod_load import JOB, LINE, Ended, Job, Line, grown
from corral.local.drill.record import Exhausted, Failed, Moved, Record
from corral.local.drill.script import Exhaust, Fail, Move, Script, Skipped, Watch, moved, script_on_cluster
from corral.local.errors import EngineError
from corral.plan.callers import Rate
from corral.plan.plan import Plan
from corral.simulated.hosts import TOKEN_VARIABLE
from tests.local.drill.recorded import record
from tests.plan.world import LLAMA, build

PLAN = build({LLAMA: {"shares": {"azure": 60, "vllm": 40}, "fallback": ["deepinfra"]}}, tenants={"search": {}})


def test_on_a_cluster_hosts_are_taken_out_too_and_what_cannot_be_there_is_said():
    steps = script_on_cluster(PLAN)
    assert [step.title for step in steps if not isinstance(step, Skipped)] == [
        "shares as declared",
        "swap shares",
        "drain the largest share to 0",
        "take the drained hosts out",
        "back to what is declared",
        "azure: answers 503",
        "vllm: resets connections",
        "azure: hangs",
        "vllm: slow first byte",
        "azure: answers 429",
        "azure, vllm: answers 503",
    ]
    assert {step.title: step.why for step in steps if isinstance(step, Skipped)} == {
        "save a file that is not YAML": "a stack file is read and checked before anything reaches a cluster",
        "save shares that do not sum to 100": "a stack file is read and checked before anything reaches a cluster",
        "a tenant exceeds its limit": "no tenant of the stack has a limit, so that nothing counts requests there",
    }


def test_a_host_that_is_taken_out_is_no_target_and_the_fallbacks_stay():
    (of_model,) = moved(PLAN, {LLAMA: {"vllm": 100}}).models
    assert [(to.host, to.share, to.weight, to.priority) for to in of_model.targets] == [
        ("vllm", 100, 100, 0),
        ("deepinfra", 0, 100, 1),
    ]
    assert moved(PLAN, {LLAMA: {"azure": 60, "vllm": 40}}) == PLAN


def test_a_stack_without_limits_gets_none_on_a_cluster_and_every_tenant_a_key():
    prepared = prepare(PLAN, script_on_cluster(PLAN))
    assert {tenant.name: tenant.rate for tenant in prepared.record.rehearsed.tenants} == {
        "drill": Rate(),
        "drill-limited": Rate(),
        "search": Rate(),
    }
    assert prepared.keys.keys() == {"drill", "drill-limited", "search"}
    assert [(host.name, host.key is not None) for host in prepared.hosts] == [
        (name, PLAN.live_hosts[name].credential.header is not None) for name in ("azure", "deepinfra", "vllm")
    ]


def test_a_drill_has_no_adapter_and_meets_hosts_behind_one_as_such_that_speak_openai():
    adapted = build({LLAMA: {"shares": {"bedrock": 60, "azure": 40}}}, **ON_CLUSTER)
    prepared = prepare(adapted, script_on_cluster(adapted))
    assert {host.name: (host.protocol, host.header) for host in prepared.hosts} == {
        "azure": ("openai", "api-key"),
        "bedrock": ("openai", "authorization"),
    }
    assert {target.protocol for _, target in prepared.record.rehearsed.targets} == {"openai"}


def test_a_record_comes_back_from_the_pod_as_it_was():
    whole = record()
    results: Mapping[type, Any] = {
        Fail: Failed(1.0, {}, 2.0, None),
        Move: Moved(1.0, None),
        Exhaust: Exhausted(1, 2, 2, {"x": 1}),
    }
    whole.spans[:] = [replace(span, result=results.get(type(span.step))) for span in whole.spans]
    grew = Record(whole.plan, whole.rehearsed, whole.script)
    for start in range(0, len(whole.requests), 7):
        spans = whole.spans[start // 7 : start // 7 + 1]
        line = Line(
            seconds=whole.seconds,
            under_way=0,
            requests=tuple(whole.requests[start : start + 7]),
            arrivals=tuple(whole.arrivals[start : start + 7]),
            ended=tuple(Ended(span.began, span.ended, span.result) for span in spans),
        )
        grown(grew, LINE.validate_json(LINE.dump_json(line)))
    assert (grew.requests, grew.arrivals, grew.spans, grew.seconds) == (
        whole.requests,
        whole.arrivals,
        whole.spans,
        whole.seconds,
    )


def test_the_job_reaches_the_pod_as_it_was():
    job = Job(PLAN, script_on_cluster(PLAN), "http://gateway/v1", "http://127.0.0.1:8000", {"drill": "a key"})
    assert JOB.validate_json(JOB.dump_json(job)) == job
    assert "a key" not in repr(job)


ON_CLUSTER: Any = {"engine": {"kind": "kubernetes"}, "gateway": {"adapterImage": "adapter:1"}}
SERVED = build({LLAMA: {"shares": {"deepinfra": 50, "vllm": 50}}})
STEPS: Script = (Watch(0.5), Move(0.3, "swap", {LLAMA: {"deepinfra": 40, "vllm": 60}}), Watch(0.2, "after"))


async def _drill(free: int, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> tuple[Record, list[Plan]]:
    """One against a host itself, in the place of a gateway that always draws the same one and names its own model."""
    monkeypatch.setenv(TOKEN_VARIABLE, "the token of the control endpoints")
    prepared = prepare(SERVED, STEPS)
    (vllm,) = (host for host in prepared.hosts if host.name == "vllm")
    anybody = vllm.model_copy(update={"models": {LLAMA: next(iter(vllm.models.values()))}, "header": None, "key": None})
    hosts = [anybody if host is vllm else host for host in prepared.hosts]
    serving = asyncio.create_task(serve(hosts, "the token of the control endpoints", free))
    port = ports(SERVED.hosts)["vllm"] - CONTROL_PORT + free
    plans: list[Plan] = []

    async def move(plan: Plan) -> None:
        plans.append(plan)
        if fails:
            raise EngineError("pulumi up did not end well")

    job = Job(SERVED, STEPS, f"http://127.0.0.1:{port}{vllm.path}", f"http://127.0.0.1:{free}", {})
    while True:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.get(f"http://127.0.0.1:{port}/")
            break
        except httpx.TransportError:
            await asyncio.sleep(0.05)
    try:
        await follow(prepared.record, job, [sys.executable, "-m", "corral.local.drill.pod_load"], move)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    return prepared.record, plans


@pytest.mark.process
def test_the_load_in_the_pod_moves_when_it_is_told_and_its_record_is_whole(
    free_ports: int, monkeypatch: pytest.MonkeyPatch
):
    kept, plans = asyncio.run(_drill(free_ports, monkeypatch))
    assert [span.step for span in kept.spans] == [*STEPS]
    assert isinstance(result := kept.spans[1].result, Moved)
    assert result.in_force is not None
    assert plans == [moved(kept.rehearsed, {LLAMA: {"deepinfra": 40, "vllm": 60}})]
    assert {(each.outcome, each.host, each.attempts, each.why) for each in kept.requests} == {
        ("answered", "vllm", 1, "")
    }
    assert len(kept.requests) > 10


@pytest.mark.process
def test_a_move_that_fails_is_in_the_record_and_the_drill_goes_on(free_ports: int, monkeypatch: pytest.MonkeyPatch):
    kept, _ = asyncio.run(_drill(free_ports, monkeypatch, fails=True))
    assert isinstance(result := kept.spans[1].result, Moved)
    assert (result.in_force, len(kept.spans)) == (None, 3)
    assert [text for _, text in kept.notices] == ["pulumi up did not end well"]


@pytest.mark.process
def test_a_pod_that_cannot_be_reached_is_said_in_its_own_words():
    kept = prepare(PLAN, STEPS).record
    job = Job(PLAN, STEPS, "http://gateway/v1", "http://127.0.0.1:8000", {})
    command = [sys.executable, "-c", "import sys; sys.exit('pods \"hosts\" not found')"]

    async def move(_: Plan) -> None:
        raise AssertionError("nothing is to be moved")

    with pytest.raises(EngineError, match='The load in the pod ended before the drill: pods "hosts" not found'):
        asyncio.run(follow(kept, job, command, move))


@pytest.fixture
def free_ports() -> int:
    """The first of three ports in a row that nobody has."""
    import socket

    for first in range(20_000, 40_000, 7):
        try:
            for port in range(first, first + 3):
                with socket.socket() as each:
                    each.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise AssertionError("no ports are free")
