"""`corral ramp`: makes the moves of `corral:ramps`, step by step, and takes them back.

Policy.  A step is an edit of the stack file, as a person makes it: the shares, with the first step `from`, and with a
step back `paused`, which says why.  Nothing else is written down anywhere.  The local engine follows the file; on a
cluster `pulumi up` follows each step, unless this is for a workflow (`--once`), whose commit is the step.  A stair
whose plan would be refused is not gone to.

How long shares are in force the local engine knows.  On a cluster it is as long as this command has seen them: since
its start, or since the `pulumi up` that brought them.  With `--once` a schedule is the clock: shares are in force as
long as `every` says, and what is observed there is the last `every`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from corral.catalog.load import load_catalog
from corral.cli.project import CommandError, StackOption, load_servable, root, running, stack_file
from corral.cli.terminal import console
from corral.config.problems import ConfigError, Value, flow, missing_extra
from corral.config.read import read_stack
from corral.config.stack_file import with_keys, with_shares
from corral.local.errors import EngineError
from corral.plan.checks.run import RefusedError, check
from corral.plan.plan import ModelPlan, Plan
from corral.plan.ramps import Decision, Observed, ObservedHost, next_step
from corral.plan.ramps import with_shares as at_shares

_POLL_SECONDS = 5.0
"""Envoy brings its histograms up to date as often."""

_LEAST_WINDOW_SECONDS = 60
"""Over which a Prometheus is asked: it scrapes each 15 s or 30 s, and a rate needs two scrapes."""

Observe = Callable[[ModelPlan], tuple[Observed, int]]
"""What happened to a model, and for how many milliseconds its shares are in force.  Raises EngineError."""


def ramp(
    stack: StackOption = "local",
    once: Annotated[
        bool, typer.Option("--once", help="Judge once, edit the file by one step at most, and deploy nothing.")
    ] = False,
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Of a cluster: its Prometheus, instead of the stack's URL of it.")
    ] = None,
) -> None:
    """Move shares as corral:ramps says, in steps, as long as the guard holds; else one step back, and pause.

    Each step is an edit of the stack file. On a cluster each is a `pulumi up` too, without --once.
    Ends when every ramp is at its end, or paused; exit status 1 if one is paused.
    """
    file = stack_file(stack)
    walk = _Walk(file, once=once)
    plan = load_servable(file).plan
    if not any(model.ramp for model in plan.models):
        raise CommandError(f"{file} has no corral:ramps: docs/ramps.md says how one is written.")
    if plan.engine == "local":
        walk.run(lambda model: _on_this_machine(stack, model), lambda: None)
    else:
        cluster = _Cluster(_prometheus(file, prometheus), once=once)
        walk.run(cluster.observe, lambda: cluster.up(stack))


class _Walk:
    """The ramps of one stack file."""

    def __init__(self, file: Path, *, once: bool) -> None:
        self._file = file
        self._once = once
        self._out = console()
        self._verdicts: dict[str, str] = {}
        self._problems: list[str] = []
        """The last one, as often as it came in a row."""

    def run(self, observe: Observe, deploy: Callable[[], None]) -> None:
        """Judges, moves and waits until there is nothing to wait for."""
        while True:
            pause = _POLL_SECONDS
            try:
                plan = load_servable(self._file).plan
                pause = min([pause, *(model.ramp.every / 4_000 for model in plan.models if model.ramp)])
                decisions = {model.name: _decide(plan, model, observe) for model in plan.models if model.ramp}
                self._problems.clear()
            except (ConfigError, RefusedError, EngineError) as reason:
                if self._once or not self._verdicts:
                    raise
                self._complain(str(reason))
            else:
                for name, decision in decisions.items():
                    self._print(name, decision)
                if any(decision.shares for decision in decisions.values()):
                    self._save(plan, decisions)
                    deploy()
                elif all(each.verdict in ("reached", "stopped") for each in decisions.values()):
                    if not self._once and any(each.verdict == "stopped" for each in decisions.values()):
                        raise typer.Exit(1)
                    return
            if self._once:
                return
            time.sleep(pause)

    def _save(self, plan: Plan, decisions: Mapping[str, Decision]) -> None:
        with self._file.open(encoding="utf-8", newline="") as file:
            text = edited(file.read(), plan, decisions)
        new = self._file.with_suffix(".new")
        with new.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
        shutil.copymode(self._file, new)
        new.replace(self._file)

    def _print(self, model: str, decision: Decision) -> None:
        """What is new; numbers that only grow are not."""
        if decision.verdict != "hold" or self._verdicts.get(model) != "hold":
            self._say(f"{model}: {_sentence(decision)}")
        self._verdicts[model] = decision.verdict

    def _complain(self, problem: str) -> None:
        """Once it has come twice: an edit takes a moment to come into force."""
        if self._problems and self._problems[-1] != problem:
            self._problems.clear()
        self._problems.append(problem)
        if len(self._problems) == 2:
            self._say(problem)

    def _say(self, text: str) -> None:
        self._out.out(f"{datetime.now(UTC):%H:%M:%S} {text}", highlight=False)


def _decide(plan: Plan, model: ModelPlan, observe: Observe) -> Decision:
    decision = next_step(model, *observe(model))
    if decision.shares is None:
        return decision
    after = at_shares(plan, {model.name: decision.shares})
    refused = next((each for each in check(after, datetime.now(UTC).date()) if each.level == "error"), None)
    return Decision("hold", f"{flow({**decision.shares})} would be refused: {refused.message}") if refused else decision


def _sentence(decision: Decision) -> str:
    shares = flow({**decision.shares}) if decision.shares else ""
    match decision.verdict:
        case "on":
            return f"on to {shares}"
        case "back":
            return f"back to {shares}, and paused: {decision.why}"
        case "hold":
            return f"holds: {decision.why}"
        case _:
            return decision.why


def edited(text: str, plan: Plan, decisions: Mapping[str, Decision]) -> str:
    """The text of the stack file with the steps of those ramps that take one."""
    for model in plan.models:
        decision = decisions.get(model.name)
        if model.ramp is None or decision is None or decision.shares is None:
            continue
        text = with_shares(text, {model.name: decision.shares})
        keys: dict[str, Value] = {} if model.ramp.begun else {"from": {**model.ramp.stairs[0]}}
        if decision.verdict == "back" and not model.ramp.paused:
            keys["paused"] = f"{decision.why}, at {flow({**model.shares})}"
        if keys:
            text = with_keys(text, ("corral:ramps", model.name), keys)
    return text


def _on_this_machine(stack: str, model: ModelPlan) -> tuple[Observed, int]:
    """Raises EngineError: it does not serve, or not yet what the file says."""
    try:
        from corral.cli.status import current_status
    except ImportError:
        raise CommandError(missing_extra("local", "corral ramp on the local engine")) from None
    engine = running(stack)
    now = next((each for each in current_status(engine).models if each.model == model.name), None)
    if now is None or {host.host: host.declared for host in now.hosts if host.role != "fallback"} != model.shares:
        raise EngineError(f"What the file says of {model.name} is not in force: corral status -s {stack} says why.")
    hosts = {
        host.host: ObservedHost(
            attempts=host.attempts,
            failed_attempts=host.failed_attempts,
            ejected=host.ejected,
            first_byte_p95=None if host.first_byte_p95 is None else round(host.first_byte_p95),
            input_tokens=host.input_tokens,
            output_tokens=host.output_tokens,
        )
        for host in now.hosts
    }
    in_force = datetime.now(UTC) - datetime.fromisoformat(engine.since)
    return Observed(now.requests, now.server_errors, hosts), round(in_force.total_seconds() * 1_000)


@dataclass
class _Cluster:
    """Of the kubernetes engine."""

    url: str
    once: bool
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._since = time.monotonic()

    def observe(self, model: ModelPlan) -> tuple[Observed, int]:
        from corral.monitoring.observed import PrometheusError, observe

        in_force = model.ramp.every if self.once and model.ramp else round((time.monotonic() - self._since) * 1_000)
        try:
            return observe(self.url, model, max(_LEAST_WINDOW_SECONDS, in_force // 1_000)), in_force
        except PrometheusError as reason:
            raise EngineError(f"{reason}.") from None

    def up(self, stack: str) -> None:
        """Brings the file into force.  Raises CommandError."""
        if self.once:
            return
        from corral.gateway.automation import UpError, up_in

        try:
            up_in(root(), stack)
        except UpError as error:
            raise CommandError(
                f"The stack file has the step, and the cluster has not: {error}\n"
                f"Mend that, have `pulumi up -s {stack}` end well, and start corral ramp again."
            ) from None
        self._since = time.monotonic()


def _prometheus(file: Path, url: str | None) -> str:
    declared = read_stack(file, load_catalog()).cluster.prometheus
    if url is None and declared is None:
        raise CommandError(
            f"{file} names no Prometheus, by whose numbers a ramp on a cluster is judged: "
            "give corral:cluster.prometheus, or --prometheus URL."
        )
    return url or (declared.url if declared else "")
